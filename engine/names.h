// Names of containers: the grammar, and one for whom the user gave none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace engine {

// How many digits of a container's id are its short name.
inline constexpr std::size_t kShortIdDigits = 12;

// The name without the slash that docker shows and takes before it. Throws kInvalid with docker's
// words unless the rest is [a-zA-Z0-9][a-zA-Z0-9_.-]+.
std::string parse_container_name(std::string_view text);

// "calm_heron"; the same number gives the same name. `attempt` above 0 adds a digit.
std::string plan_name(std::uint64_t number, int attempt);

}  // namespace engine
