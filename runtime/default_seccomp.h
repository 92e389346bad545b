// SeccompRules: a docker seccomp profile before its conditions are resolved, and docker's default
// profile as such a table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

// `calls` and the lists of architectures are names with blanks between. A rule applies where
// `with_capability` is granted and `without_capability` is not, on the machine's architecture (in
// Go's words: "amd64"); an empty condition always holds. docker's profile never needs more than one
// capability or one argument in a rule.
struct DefaultSeccompRule {
  std::string_view calls;
  std::string_view with_capability = {};
  std::string_view without_capability = {};
  std::string_view on = {};
  std::string_view not_on = {};
  const char* argument_op = nullptr;  // "SCMP_CMP_EQ"
  std::uint32_t argument_index = 0;
  std::uint64_t argument_value = 0;
  std::uint32_t errno_value = 0;  // answers this instead of allowing
};

std::span<const DefaultSeccompRule> default_seccomp_rules();

// This machine's architecture in Go's words, and what docker's archMap lists for it.
std::string_view go_architecture();
std::vector<std::string> default_seccomp_architectures();

}  // namespace runtime
