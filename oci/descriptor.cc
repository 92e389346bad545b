#include "oci/descriptor.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace oci {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// RFC 4648, section 4: padded, no line breaks, unused bits zero.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const std::size_t value = kBase64.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xFFU));
  }
  const bool has_unused_bits = (bits & ((1U << static_cast<unsigned>(count)) - 1U)) != 0;
  if (has_unused_bits) return std::nullopt;
  return bytes;
}

// algorithm ":" encoded (image-spec, descriptor.md, digests).
bool is_foreign_digest(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.substr(0, colon) == "sha256") {
    return false;
  }
  const std::string_view encoded = text.substr(colon + 1);
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return encoded.size() >= 32 && encoded.size() <= 512 &&
         std::all_of(
             text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon),
             [&](char c) { return is_plain(c) || c == '+' || c == '.' || c == '_' || c == '-'; }) &&
         std::all_of(encoded.begin(), encoded.end(),
                     [&](char c) { return is_plain(c) || c == '=' || c == '_' || c == '-'; });
}

Descriptor parse_rest(const JsonValue& value, Digest digest) {
  Descriptor descriptor{.media_type = value["mediaType"].string(),
                        .digest = std::move(digest),
                        .size = static_cast<std::uint64_t>(value["size"].integer<std::int64_t>()),
                        .platform = {},
                        .artifact_type = {},
                        .urls = {},
                        .annotations = {},
                        .data = {}};
  if (descriptor.size > std::numeric_limits<std::int64_t>::max()) value["size"].fail("is negative");
  if (value["platform"].exists()) descriptor.platform = parse_platform(value["platform"]);
  value["artifactType"].read(descriptor.artifact_type);
  value["urls"].read(descriptor.urls);
  value["annotations"].read(descriptor.annotations);
  if (const JsonValue data = value["data"]; data.exists()) {
    descriptor.data = decode_base64(data.string());
    if (!descriptor.data) data.fail("is not base64");
  }
  return descriptor;
}

}  // namespace

Descriptor parse_descriptor(const JsonValue& value) {
  const std::string digest = value["digest"].string();
  if (is_foreign_digest(digest)) {
    value["digest"].fail("digest algorithm \"" + digest.substr(0, digest.find(':')) +
                         "\" is not supported");
  }
  if (!is_sha256(digest)) value["digest"].fail("malformed digest");
  return parse_rest(value, Digest::parse(digest));
}

std::optional<Descriptor> find_descriptor(const JsonValue& value) {
  if (is_foreign_digest(value["digest"].string())) return std::nullopt;
  return parse_descriptor(value);
}

Platform parse_platform(const JsonValue& value) {
  Platform platform;
  value["os"].read(platform.os);
  value["architecture"].read(platform.architecture);
  value["variant"].read(platform.variant);
  return normalize(std::move(platform));
}

}  // namespace oci
