#include "registry/content_range.h"

#include <charconv>
#include <string>

namespace registry {
namespace {

// Takes "bytes " off the front.
bool take_unit(std::string_view& text) {
  std::string unit(text.substr(0, 6));
  for (char& c : unit) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  text.remove_prefix(unit.size());
  return unit == "bytes ";
}

}  // namespace

std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!take_unit(text)) return std::nullopt;
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  const auto first = parse_length(text.substr(0, dash));
  const auto last = parse_length(text.substr(dash + 1, slash - dash - 1));
  const std::string_view size = text.substr(slash + 1);
  const auto total = parse_length(size);
  if (!first || !last || *last < *first || (!total && size != "*")) return std::nullopt;
  if (total && *last >= *total) return std::nullopt;
  return ContentRange{.first = *first, .last = *last, .total = total};
}

std::optional<std::uint64_t> parse_unsatisfied_range(std::string_view text) {
  if (!take_unit(text) || !text.starts_with("*/")) return std::nullopt;
  return parse_length(text.substr(2));
}

}  // namespace registry
