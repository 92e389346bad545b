#include "registry/failure.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "oci/json_value.h"

namespace registry {
namespace {

constexpr std::size_t kMaxTextBytes = 400;

// One line: a registry's message may be a paragraph.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!is_space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (line.ends_with(' ')) line.pop_back();
  return base::printable(line, kMaxTextBytes);
}

std::string spoken(std::string code) {
  for (char& c : code) c = c == '_' ? ' ' : static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return code;
}

struct RegistryError {
  std::string code, message;
};

std::string string_or_nothing(const oci::JsonValue& value) {
  return value.is_string() ? value.string() : std::string();
}

// What different servers put there: {"errors": [{"code", "message"}]} (registries), {"details"}
// (Docker Hub's token server), {"error", "error_description"} (RFC 6749), {"message"}.
std::vector<RegistryError> parse_errors(const std::string& body) {
  std::vector<RegistryError> errors;
  if (body.empty() || body.front() != '{') return errors;
  try {
    const oci::JsonDocument document(body);
    const oci::JsonValue root = document.root();
    if (root["errors"].is_array()) {
      for (const oci::JsonValue& entry : root["errors"].elements()) {
        errors.push_back({.code = string_or_nothing(entry["code"]),
                          .message = string_or_nothing(entry["message"])});
      }
    }
    for (const char* name : {"details", "error_description", "error", "message"}) {
      if (!errors.empty()) break;
      const std::string text = string_or_nothing(root[name]);
      if (!text.empty()) errors.push_back({.code = {}, .message = text});
    }
  } catch (const base::Error&) {  // the status must do
  }
  return errors;
}

std::string render(const RegistryError& error) {
  const std::string code = spoken(error.code);
  if (code.empty() || spoken(error.message) == code) return error.message;
  return error.message.empty() ? code : code + ": " + error.message;
}

const char* reason_phrase(int status) {
  switch (status) {
    case 400:
      return " Bad Request";
    case 401:
      return " Unauthorized";
    case 403:
      return " Forbidden";
    case 404:
      return " Not Found";
    case 405:
      return " Method Not Allowed";
    case 408:
      return " Request Timeout";
    case 416:
      return " Range Not Satisfiable";
    case 429:
      return " Too Many Requests";
    case 500:
      return " Internal Server Error";
    case 502:
      return " Bad Gateway";
    case 503:
      return " Service Unavailable";
    case 504:
      return " Gateway Timeout";
    default:
      return "";
  }
}

}  // namespace

std::string describe(const Response& response) {
  if (!response.is_complete()) return response.cause;
  std::string text;
  for (const RegistryError& error : parse_errors(response.body)) {
    const std::string line = one_line(render(error));
    if (line.empty() || text.find(line) != std::string::npos) continue;
    text += (text.empty() ? "" : "; ") + line;
    if (text.size() > kMaxTextBytes) break;
  }
  if (!text.empty()) return text;
  return response.url.authority() + ": HTTP " + std::to_string(response.status) +
         reason_phrase(response.status);
}

std::string find_error_code(const Response& response) {
  const std::vector<RegistryError> errors = parse_errors(response.body);
  return errors.empty() ? std::string() : errors.front().code;
}

base::ErrorKind kind_of(const Response& response) {
  switch (response.failure) {
    case Failure::kNone:
      break;
    case Failure::kCertificate:
    case Failure::kTooLarge:
    case Failure::kRefused:
      return base::ErrorKind::kInvalid;
    default:
      return base::ErrorKind::kUnavailable;
  }
  switch (response.status) {
    case 401:
    case 403:
      return base::ErrorKind::kUnauthorized;
    case 404:
      return base::ErrorKind::kNotFound;
    case 408:
    case 429:
      return base::ErrorKind::kUnavailable;
    default:
      return response.status >= 500 ? base::ErrorKind::kUnavailable : base::ErrorKind::kInvalid;
  }
}

void throw_failure(const Response& response) {
  throw base::Error(kind_of(response), describe(response));
}

}  // namespace registry
