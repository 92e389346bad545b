#include "engine/container_sizes.h"

#include <sys/stat.h>

#include "base/disk_usage.h"
#include "storage/image_list.h"

namespace engine {
namespace {

constexpr std::uint64_t kStatBlock = 512;  // stat(2), st_blocks

// Blocks on disk, without those of the directory itself: 0 where the container wrote nothing.
std::uint64_t size_below(const std::filesystem::path& directory) {
  struct stat info = {};
  if (stat(directory.c_str(), &info) != 0) return 0;  // never started
  const std::uint64_t own = static_cast<std::uint64_t>(info.st_blocks) * kStatBlock;
  const std::uint64_t all = base::disk_usage_of_each({directory}).front();
  return all > own ? all - own : 0;
}

}  // namespace

ContainerSizes::ContainerSizes(storage::Store& store) : store_(store) {
  for (const storage::ImageLine& line : storage::list_image_lines(store)) {
    images_[line.id] = line.size;
  }
}

ContainerSize ContainerSizes::measure(const storage::ContainerRow& row) const {
  ContainerSize size;
  size.written = size_below(store_.container_dir(row.id) / "upper");
  const auto image = images_.find(row.image.hex());
  size.root_fs = size.written + (image == images_.end() ? 0 : image->second);
  return size;
}

}  // namespace engine
