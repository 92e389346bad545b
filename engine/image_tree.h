// ImageTree: the files of an image (or of a container: its writable layer on top) read through its
// layers, without mounting anything anybody could see.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace engine {

namespace fs = std::filesystem;

class ImageTree {
 public:
  explicit ImageTree(std::vector<fs::path> layers);  // topmost first; missing ones are left out

  // The content of a regular file. nullopt where there is none, or where it is anything else (a
  // FIFO, a device). Throws kInvalid above `limit` bytes.
  std::optional<std::string> find_file(const fs::path& path, std::size_t limit) const;

  // The merged tree as a directory descriptor for openat2(2): a detached read-only overlay that
  // dies with the descriptor. Needs CAP_SYS_ADMIN.
  base::UniqueFd open_merged() const;

 private:
  enum class Lookup { kFound, kAbsent, kUnclear };
  Lookup find_plain(const fs::path& path, base::UniqueFd& found) const;

  std::vector<fs::path> layers_;
};

}  // namespace engine
