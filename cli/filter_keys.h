// FilterKeys: what --filter of each command may ask for, for the commands themselves and for
// completion.
#pragma once

#include <span>
#include <string_view>

#include "cli/completion.h"

namespace cli {

struct FilterKey {
  std::string_view name;
  std::string_view choices = {};       // its values, with a space between, where they are known
  WordKind kind = WordKind::kNothing;  // or what they name
};

// By the name that the command's help has: "ps", "network ls". Empty where it has no --filter.
std::span<const FilterKey> filter_keys(std::string_view command);

}  // namespace cli
