#include "storage/pack/flat_tree.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "storage/pack/diff_tar.h"

namespace storage {
namespace {

constexpr std::size_t kMaxDepth = 512;  // as the unpacker takes

std::vector<std::string> read_names(int dir_fd) {
  base::UniqueFd own = base::open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY);
  const base::CHandle<DIR, closedir> stream(fdopendir(own.get()));
  if (!stream) base::throw_errno("fdopendir");
  static_cast<void>(own.release());
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  if (errno != 0) base::throw_errno("read a directory");
  // Last first: they are taken from the end.
  std::sort(names.begin(), names.end(), std::greater<>());
  return names;
}

struct Level {
  base::UniqueFd fd;
  std::string path;  // "" or with a '/' at its end
  std::vector<std::string> names;
};

dev_t device_of(int fd) {
  struct stat info = {};
  base::check(fstat(fd, &info), "stat");
  return info.st_dev;
}

// The directory `name`, if it is one that the walk goes into.
base::UniqueFd find_subdirectory(int dir_fd, const std::string& name, dev_t device) {
  base::UniqueFd fd(
      openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ENOTDIR || errno == ENOENT || errno == ELOOP)) return {};
  if (!fd) base::throw_errno(base::printable(name));
  return device_of(fd.get()) == device ? std::move(fd) : base::UniqueFd();
}

}  // namespace

void write_flat_tree(TarWriter& writer, int root_fd, FlatRoot root, const OverlayPolicy& policy) {
  FilePacker packer(writer, policy);
  if (root == FlatRoot::kWithRoot) packer.add(root_fd, ".", ".");
  const dev_t device = device_of(root_fd);
  std::vector<Level> levels;
  levels.push_back({base::open_at(root_fd, ".", O_RDONLY | O_DIRECTORY), "", read_names(root_fd)});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.names.empty()) {
      levels.pop_back();
      continue;
    }
    const std::string name = std::move(level.names.back());
    level.names.pop_back();
    const std::string path = level.path + name;
    if (!packer.add(level.fd.get(), name, path)) continue;
    base::UniqueFd below = find_subdirectory(level.fd.get(), name, device);
    if (!below) continue;
    if (levels.size() >= kMaxDepth) {
      throw base::Error(base::ErrorKind::kUnsupported,
                        base::printable(path) + ": deeper than 512 levels of directories");
    }
    std::vector<std::string> names = read_names(below.get());
    levels.push_back({std::move(below), path + "/", std::move(names)});
  }
}

}  // namespace storage
