// Process status: single fields of the text of /proc/PID/status (proc(5)).
#pragma once

#include <string_view>

namespace engine {

// What stands behind `name` ("State:"), without the blanks before it; empty where it is missing.
std::string_view status_field(std::string_view status, std::string_view name);

// Whether a mask of signals, in hexadecimal digits as such fields are, has this one.
bool has_signal(std::string_view mask, int signal);

}  // namespace engine
