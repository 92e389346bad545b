#include "engine/process_status.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace engine {

std::string_view status_field(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    const std::string_view line = status.substr(0, status.find('\n'));
    if (line.starts_with(name)) {
      std::string_view value = line.substr(name.size());
      const std::size_t start = value.find_first_not_of(" \t");
      return start == std::string_view::npos ? std::string_view() : value.substr(start);
    }
    status.remove_prefix(std::min(line.size() + 1, status.size()));
  }
  return {};
}

bool has_signal(std::string_view mask, int signal) {
  std::uint64_t bits = 0;
  std::from_chars(mask.data(), mask.data() + mask.size(), bits, 16);
  return ((bits >> static_cast<unsigned>(signal - 1)) & 1U) != 0;
}

}  // namespace engine
