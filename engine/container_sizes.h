// ContainerSizes: what containers' own files and those of their images take on disk.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "storage/store.h"

namespace engine {

struct ContainerSize {
  std::uint64_t written = 0;  // docker's SizeRw
  std::uint64_t root_fs = 0;  // the same and its image's layers: SizeRootFs, "virtual"
};

class ContainerSizes {
 public:
  explicit ContainerSizes(storage::Store& store);
  ContainerSize measure(const storage::ContainerRow& row) const;

 private:
  storage::Store& store_;
  std::map<std::string, std::uint64_t> images_;  // by id
};

}  // namespace engine
