#include "engine/image_tree.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/error.h"
#include "base/files.h"
#include "engine/private_mount.h"

namespace engine {
namespace {

bool is_opaque(int folder_fd) {
  // fgetxattr(2) refuses O_PATH descriptors; the path through /proc is that very directory.
  const std::string path = "/proc/self/fd/" + std::to_string(folder_fd);
  char value = 0;
  return getxattr(path.c_str(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

base::UniqueFd open_component(int folder_fd, const std::string& name) {
  return base::UniqueFd(openat(folder_fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

std::optional<std::string> read_regular(int path_fd, std::size_t limit) {
  struct stat info = {};
  base::check(fstat(path_fd, &info), "fstat");
  if (!S_ISREG(info.st_mode)) return std::nullopt;  // CVE-2026-47262: never wait for a FIFO
  const base::UniqueFd fd(base::check(
      open(("/proc/self/fd/" + std::to_string(path_fd)).c_str(), O_RDONLY | O_CLOEXEC), "open"));
  return base::read_fd(fd.get(), limit);
}

}  // namespace

ImageTree::ImageTree(std::vector<fs::path> layers) : layers_(std::move(layers)) {
  const auto missing = [](const fs::path& layer) { return access(layer.c_str(), F_OK) != 0; };
  layers_.erase(std::remove_if(layers_.begin(), layers_.end(), missing), layers_.end());
}

// Walks the path in each layer, topmost first, as overlayfs would merge it. What overlayfs and the
// kernel's path walk do with symbolic links over several layers is left to them: kUnclear.
ImageTree::Lookup ImageTree::find_plain(const fs::path& path, base::UniqueFd& found) const {
  for (const fs::path& layer : layers_) {
    base::UniqueFd at(open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at) base::throw_errno(layer.string());
    bool hides_below = false;
    const fs::path relative = path.relative_path();
    for (auto part = relative.begin(); part != relative.end(); ++part) {
      base::UniqueFd next = open_component(at.get(), part->string());
      if (!next && errno != ENOENT) return Lookup::kUnclear;
      if (!next) break;
      struct stat info = {};
      base::check(fstat(next.get(), &info), "fstat");
      if (S_ISCHR(info.st_mode) && info.st_rdev == 0) return Lookup::kAbsent;  // a whiteout
      if (S_ISLNK(info.st_mode)) return Lookup::kUnclear;
      if (std::next(part) == relative.end()) {
        found = std::move(next);
        return Lookup::kFound;
      }
      if (!S_ISDIR(info.st_mode)) return Lookup::kAbsent;
      hides_below = hides_below || is_opaque(next.get());
      at = std::move(next);
    }
    if (hides_below) return Lookup::kAbsent;
  }
  return Lookup::kAbsent;
}

std::optional<std::string> ImageTree::find_file(const fs::path& path, std::size_t limit) const {
  base::UniqueFd found;
  Lookup lookup = find_plain(path, found);
  if (lookup == Lookup::kUnclear) {
    const base::UniqueFd root = open_merged();
    auto through_links = base::find_in_root(root.get(), path, O_PATH);
    if (!through_links) return std::nullopt;
    return base::while_doing(path.string(),
                             [&] { return read_regular(through_links->get(), limit); });
  }
  if (lookup == Lookup::kAbsent) return std::nullopt;
  return base::while_doing(path.string(), [&] { return read_regular(found.get(), limit); });
}

base::UniqueFd ImageTree::open_merged() const {
  if (layers_.empty()) throw base::Error(base::ErrorKind::kNotFound, "the image has no layers");
  if (layers_.size() == 1) return base::open_file(layers_.front(), O_PATH | O_DIRECTORY);
  return mount_detached_overlay(layers_);
}

}  // namespace engine
