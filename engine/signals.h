// Signals by name: "TERM", "SIGTERM", "15", "RTMIN+3".
#pragma once

#include <string>
#include <string_view>

namespace engine {

// Throws kInvalid with docker's words: "Invalid signal: x".
int parse_signal(std::string_view text);
std::string signal_name(int signal);  // "SIGTERM", "SIGRTMIN+3"

}  // namespace engine
