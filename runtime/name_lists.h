// Questions about lists of names that several files ask.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

inline bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Of a table whose rows have a `name`.
template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.emplace_back(entry.name);
  return names;
}

}  // namespace runtime
