#include "registry/url.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <curl/curl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

namespace registry {
namespace {

// Signed addresses of object stores have some hundred bytes.
constexpr std::size_t kMaxUrlBytes = 32U << 10U;

using Parts = base::CHandle<CURLU, curl_url_cleanup>;

[[noreturn]] void throw_invalid(std::string_view text, std::string_view reason) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid URL \"" + base::printable(text) + "\": " + std::string(reason));
}

std::string find_part(CURLU* parts, CURLUPart part, unsigned flags = 0) {
  char* value = nullptr;
  if (curl_url_get(parts, part, &value, flags) != CURLUE_OK) return {};
  const base::CHandle<char, curl_free> owner(value);
  return value;
}

bool is_control_or_nul(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// Where `parts` is filled already, `text` may be relative to it.
void set_url(CURLU* parts, std::string_view text) {
  if (text.size() > kMaxUrlBytes) throw_invalid(text, "too long");
  if (std::any_of(text.begin(), text.end(), is_control_or_nul)) {
    throw_invalid(text, "control character");
  }
  // Without CURLU_NON_SUPPORT_SCHEME "file:" and "gopher:" would do; the scheme is checked below.
  const CURLUcode code = curl_url_set(parts, CURLUPART_URL, std::string(text).c_str(),
                                      CURLU_URLENCODE | CURLU_PATH_AS_IS);
  if (code != CURLUE_OK) throw_invalid(text, curl_url_strerror(code));
}

Url taken_from(CURLU* parts, std::string_view text) {
  Url url;
  url.scheme = find_part(parts, CURLUPART_SCHEME);
  if (url.scheme != "http" && url.scheme != "https") throw_invalid(text, "neither http nor https");
  if (!find_part(parts, CURLUPART_USER).empty() || !find_part(parts, CURLUPART_PASSWORD).empty()) {
    throw_invalid(text, "carries a user name or a password");
  }
  url.host = find_part(parts, CURLUPART_HOST);
  if (!find_part(parts, CURLUPART_ZONEID).empty()) throw_invalid(text, "has a zone id");
  std::transform(url.host.begin(), url.host.end(), url.host.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  if (url.host.size() > 2 && url.host.front() == '[' && url.host.back() == ']') {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (url.host.empty()) throw_invalid(text, "no host");
  const std::string port = find_part(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (url.port == 0) throw_invalid(text, "port 0");
  url.target = find_part(parts, CURLUPART_PATH);
  if (url.target.empty()) url.target = "/";
  const std::string query = find_part(parts, CURLUPART_QUERY);
  if (!query.empty()) url.target += "?" + query;
  return url;
}

}  // namespace

Url Url::parse(std::string_view text) {
  const Parts parts(curl_url());
  set_url(parts.get(), text);
  return taken_from(parts.get(), text);
}

Url Url::resolve(std::string_view location) const {
  const Parts parts(curl_url());
  set_url(parts.get(), str());
  set_url(parts.get(), location);
  return taken_from(parts.get(), location);
}

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (is_https() ? 443 : 80)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::str() const { return scheme + "://" + authority() + target; }

bool is_same_origin(const Url& left, const Url& right) {
  return left.scheme == right.scheme && left.host == right.host && left.port == right.port;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  static constexpr char kUnreserved[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string encoded;
  for (const char c : text) {
    if (c != '\0' && std::strchr(kUnreserved, c) != nullptr) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
  }
  return encoded;
}

std::string render_query(const QueryParameters& parameters) {
  std::string query;
  for (const auto& [name, value] : parameters) {
    if (!query.empty()) query += '&';
    query += percent_encode(name) + "=" + percent_encode(value);
  }
  return query;
}

Url with_query(Url url, const QueryParameters& parameters) {
  if (parameters.empty()) return url;
  if (url.target.find('?') == std::string::npos) {
    url.target += '?';
  } else if (url.target.back() != '?' && url.target.back() != '&') {
    url.target += '&';
  }
  url.target += render_query(parameters);
  return url;
}

}  // namespace registry
