// ASCII: what protocols compare without regard to capitals, whatever the locale says.
#pragma once

#include <string>
#include <string_view>

namespace registry {

inline std::string to_lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

}  // namespace registry
