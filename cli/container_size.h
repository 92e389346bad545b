// ContainerSizes: what `ps --size` shows of containers' own files and of those of their images.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/engine.h"

namespace cli {

class ContainerSizes {
 public:
  explicit ContainerSizes(storage::Store& store);
  // "12kB (virtual 4.3MB)"
  std::string render(const storage::ContainerRow& row) const;

 private:
  storage::Store& store_;
  std::map<std::string, std::uint64_t> images_;  // by id
};

}  // namespace cli
