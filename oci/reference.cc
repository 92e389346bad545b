#include "oci/reference.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace oci {
namespace {

constexpr std::string_view kHub = "docker.io";
constexpr std::string_view kLegacyHub = "index.docker.io";
constexpr std::string_view kHubApi = "registry-1.docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr std::size_t kMaxPath = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kMaxText = 4096;

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_or_digit(char c) { return is_lower(c) || is_digit(c); }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || is_upper(c); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_lower_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

template <class Predicate>
bool all(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

bool is_image_id(std::string_view text) { return text.size() == 64 && all(text, is_lower_hex); }

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) {
    return false;
  }
  for (std::size_t i = 0; i < text.size();) {
    if (is_lower_or_digit(text[i])) {
      ++i;
      continue;
    }
    const std::size_t start = i;
    while (i < text.size() && !is_lower_or_digit(text[i])) ++i;
    const std::string_view separator = text.substr(start, i - start);
    const bool dashes = all(separator, [](char c) { return c == '-'; });
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
  }
  return true;
}

bool is_path(std::string_view text) {
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!is_path_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

// One label of a host name: letters, digits and inner dashes.
bool is_label(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         all(text, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_host(std::string_view text) {
  if (text.starts_with('[')) {  // an IPv6 address; zone ids are not allowed
    return text.size() > 2 && text.back() == ']' &&
           all(text.substr(1, text.size() - 2), [](char c) { return is_hex(c) || c == ':'; });
  }
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_domain(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t bracket = text.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  if (!has_port) return is_host(text);
  const std::string_view port = text.substr(colon + 1);
  return !port.empty() && all(port, is_digit) && is_host(text.substr(0, colon));
}

bool is_tag(std::string_view text) {
  const auto is_word = [](char c) { return is_alphanumeric(c) || c == '_'; };
  return !text.empty() && text.size() <= kMaxTag && is_word(text.front()) &&
         all(text, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

// Whether the first of several components names a registry (distribution/reference,
// splitDockerDomain).
bool looks_like_domain(std::string_view component) {
  return component == "localhost" || component.find_first_of(".:") != std::string_view::npos ||
         std::any_of(component.begin(), component.end(), is_upper);
}

struct Parts {
  std::string domain, path;
  std::optional<std::string_view> tag, digest;
};

// Where the grammar's separators are; nothing is validated yet.
Parts split(std::string_view text) {
  Parts parts;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    parts.digest = text.substr(at + 1);
    text = text.substr(0, at);
  }
  parts.domain = kHub;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && looks_like_domain(text.substr(0, slash))) {
    parts.domain = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  if (parts.domain == kLegacyHub) parts.domain = kHub;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    parts.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  const bool official = parts.domain == kHub && text.find('/') == std::string_view::npos;
  parts.path = (official ? std::string(kOfficial) : std::string()) + std::string(text);
  return parts;
}

[[noreturn]] void refuse(std::string_view text, const std::string& reason) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid reference \"" + base::printable(text) + "\": " + reason);
}

void check_name(std::string_view text, const Parts& parts) {
  if (!is_domain(parts.domain)) {
    refuse(text, "\"" + base::printable(parts.domain) + "\" is not a registry's host name");
  }
  if (parts.path.size() > kMaxPath) refuse(text, "repository name longer than 255 characters");
  if (is_path(parts.path)) return;
  if (std::any_of(parts.path.begin(), parts.path.end(), is_upper)) {
    refuse(text, "repository name must be lowercase");
  }
  refuse(text, "malformed repository name");
}

Digest parse_reference_digest(std::string_view text, std::string_view digest) {
  if (is_sha256(digest)) return Digest::parse(digest);
  const std::string_view algorithm = digest.substr(0, digest.find(':'));
  if (algorithm != "sha256" && algorithm.size() < digest.size()) {
    refuse(text, "digest algorithm \"" + base::printable(algorithm, 40) +
                     "\" is not supported, only sha256 is");
  }
  refuse(text, "malformed digest");
}

}  // namespace

Reference Reference::parse(std::string_view text) {
  if (text.empty()) refuse(text, "empty name");
  if (text.size() > kMaxText) refuse(text, "too long");
  if (is_image_id(text)) refuse(text, "64 hexadecimal digits are an image id, not a name");
  const Parts parts = split(text);
  check_name(text, parts);
  if (parts.tag && !is_tag(*parts.tag)) refuse(text, "malformed tag");

  Reference reference;
  reference.domain_ = parts.domain;
  reference.path_ = parts.path;
  if (parts.tag) reference.tag_ = std::string(*parts.tag);
  if (parts.digest) reference.digest_ = parse_reference_digest(text, *parts.digest);
  if (!parts.tag && !parts.digest) reference.tag_ = "latest";
  return reference;
}

std::string Reference::str() const {
  std::string text = repository();
  if (tag_) text += ":" + *tag_;
  if (digest_) text += "@" + digest_->str();
  return text;
}

std::string Reference::familiar_repository() const {
  if (domain_ != kHub) return repository();
  const std::string_view path = path_;
  if (path.starts_with(kOfficial) && path.find('/', kOfficial.size()) == std::string_view::npos) {
    const std::string_view name = path.substr(kOfficial.size());
    return is_image_id(name) ? path_ : std::string(name);  // parse() refuses a bare image id
  }
  // What would be read as a registry keeps its domain: docker.io/localhost/x.
  return looks_like_domain(path.substr(0, path.find('/'))) ? repository() : path_;
}

std::string Reference::familiar() const {
  std::string text = familiar_repository();
  if (tag_) text += ":" + *tag_;
  if (digest_) text += "@" + digest_->str();
  return text;
}

std::string Reference::api_host() const { return domain_ == kHub ? std::string(kHubApi) : domain_; }

std::string Reference::manifest_name() const { return digest_ ? digest_->str() : *tag_; }

Reference Reference::with_tag(std::string tag) const {
  if (!is_tag(tag)) refuse(tag, "malformed tag");
  Reference reference = *this;
  reference.tag_ = std::move(tag);
  return reference;
}

Reference Reference::with_digest(Digest digest) const {
  Reference reference = *this;
  reference.digest_ = std::move(digest);
  return reference;
}

}  // namespace oci
