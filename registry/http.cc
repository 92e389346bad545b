#include "registry/http.h"

#include "registry/ascii.h"

namespace registry {
namespace {}  // namespace

void Headers::add(std::string_view name, std::string_view value) {
  list_.emplace_back(to_lower(name), value);
}

std::string Headers::find(std::string_view name) const {
  for (const auto& [key, value] : list_) {
    if (key == name) return value;
  }
  return {};
}

std::vector<std::string> Headers::find_all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : list_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

}  // namespace registry
