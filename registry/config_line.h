// Config line: how the readers of TOML files tell where something is wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace registry {

[[noreturn]] inline void throw_at_line(std::uint32_t line, std::string_view reason) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "line " + std::to_string(line) + ": " + std::string(reason));
}

}  // namespace registry
