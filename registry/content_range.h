// Content-Range: which bytes a 206 answer holds (RFC 9110, section 14.4).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace registry {

struct ContentRange {
  std::uint64_t first = 0, last = 0;   // inclusive
  std::optional<std::uint64_t> total;  // none where the server wrote "*"
};

// "bytes 500-1499/8000"; nullopt where it is anything else.
std::optional<ContentRange> parse_content_range(std::string_view text);

// The size in a 416's "bytes */8000"; nullopt where it is anything else.
std::optional<std::uint64_t> parse_unsatisfied_range(std::string_view text);

// Digits only, no sign, no spaces, within 64 bits.
std::optional<std::uint64_t> parse_length(std::string_view text);

}  // namespace registry
