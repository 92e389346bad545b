// Environment: where users name files and proxies.
#pragma once

#include <cstdlib>

namespace registry {

// Null where the variable is not set, or empty.
inline const char* find_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

}  // namespace registry
