// What a registry's headers say: challenges, scopes, ranges and lengths. None may throw.
#include <algorithm>

#include "registry/challenge.h"
#include "registry/content_range.h"
#include "tests/fuzz/check.h"

namespace {

void read_challenges(std::string_view text) {
  std::vector<std::string> headers;  // a line each, as several header instances
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    headers.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  const std::vector<registry::Challenge> challenges = registry::parse_challenges(headers);
  for (const registry::Challenge& challenge : challenges) {
    FUZZ_CHECK(!challenge.scheme.empty());
    for (const auto& [name, value] : challenge.parameters) {
      FUZZ_CHECK(
          std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
      FUZZ_CHECK(challenge.parameter(name) == value);
    }
    const auto scopes = registry::split_scopes(challenge.parameter("scope"));
    FUZZ_CHECK(std::is_sorted(scopes.begin(), scopes.end()));
    FUZZ_CHECK(std::adjacent_find(scopes.begin(), scopes.end()) == scopes.end());
  }
  const registry::Challenge* best = registry::find_best(challenges);
  FUZZ_CHECK(best == nullptr || best->scheme == "bearer" || best->scheme == "basic");
  const bool has_bearer = std::any_of(challenges.begin(), challenges.end(), [](const auto& one) {
    return one.scheme == "bearer" && !one.parameter("realm").empty();
  });
  FUZZ_CHECK(!has_bearer || best->scheme == "bearer");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  read_challenges(text);
  if (const auto range = registry::parse_content_range(text)) {
    FUZZ_CHECK(range->first <= range->last);
    FUZZ_CHECK(!range->total || range->last < *range->total);
  }
  registry::parse_unsatisfied_range(text);
  if (const auto length = registry::parse_length(text)) {
    FUZZ_CHECK(text.find_first_not_of("0123456789") == std::string_view::npos);
  }
  return 0;
}
