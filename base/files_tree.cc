// The whole-tree half of files.h.
#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/disk_usage.h"
#include "base/error.h"
#include "base/files.h"

namespace base {
namespace {

using Directory = CHandle<DIR, closedir>;

// How many directories of one path are held open: a tree may be deeper than descriptors go.
constexpr std::size_t kMaxOpen = 64;

Directory open_directory_at(int parent_fd, const char* name) {
  UniqueFd fd(openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return nullptr;
  Directory stream(fdopendir(fd.get()));
  if (stream) static_cast<void>(fd.release());  // now the stream's
  return stream;
}

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

// Depth first, holding every directory from the top to the current one by descriptor, so that no
// name is ever looked up twice.
class TreeRemover {
 public:
  TreeRemover(Directory top, const std::string& path) {
    levels_.push_back({.stream = std::move(top), .name = path});
  }

  void run() {
    while (!levels_.empty()) {
      DIR* const stream = levels_.back().stream.get();
      errno = 0;
      const dirent* entry = readdir(stream);
      if (entry == nullptr && errno != 0) throw_errno("read " + levels_.back().name);
      if (entry == nullptr) {
        leave();
      } else if (!is_dot(entry->d_name)) {
        remove_entry(dirfd(stream), *entry);
      }
    }
  }

 private:
  struct Level {
    Directory stream;
    std::string name;      // below the level above
    bool changed = false;  // in this pass
  };

  void remove_entry(int parent, const dirent& entry) {
    const char* const name = entry.d_name;
    if (unlinkat(parent, name, entry.d_type == DT_DIR ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT) {
      levels_.back().changed = true;
      return;
    }
    if (errno == ENOTDIR && unlinkat(parent, name, 0) == 0) return;  // replaced meanwhile
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR) {
      throw_errno("remove " + std::string(name));
    }
    if (levels_.size() == kMaxOpen) {
      lift(parent, name);
    } else {
      Directory child = open_directory_at(parent, name);
      if (!child) throw_errno("remove " + std::string(name));
      levels_.push_back({.stream = std::move(child), .name = name});
    }
  }

  // Moves what is too deep to the top, which is then read once more.
  void lift(int parent, const char* name) {
    const int top = dirfd(levels_.front().stream.get());
    const std::string lifted = ".deep-" + random_hex(8);
    check(renameat2(parent, name, top, lifted.c_str(), RENAME_NOREPLACE),
          "remove " + std::string(name));
    levels_.front().changed = true;
    levels_.back().changed = true;
  }

  // Some file systems skip entries while others go away: as long as a pass changes something, the
  // next one may find more.
  void leave() {
    Level& level = levels_.back();
    const int parent =
        levels_.size() == 1 ? AT_FDCWD : dirfd(levels_[levels_.size() - 2].stream.get());
    if (unlinkat(parent, level.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) {
      levels_.pop_back();
      if (!levels_.empty()) levels_.back().changed = true;
      return;
    }
    if ((errno != ENOTEMPTY && errno != EEXIST) || !level.changed) {
      throw_errno("remove " + level.name);
    }
    level.changed = false;
    rewinddir(level.stream.get());
  }

  std::vector<Level> levels_;
};

// Counts blocks. Only one directory is open at a time; the way back up is "..", which a racing
// rename can mislead: then the sum is wrong, and nothing else.
class DiskUsage {
 public:
  void add(const struct stat& info) {
    const bool is_linked = info.st_nlink > 1 && !S_ISDIR(info.st_mode);
    if (is_linked && !linked_.emplace(info.st_dev, info.st_ino).second) return;
    blocks_ += static_cast<std::uint64_t>(info.st_blocks);
  }

  void add_below(UniqueFd directory) {
    std::vector<std::vector<std::string>> pending = {list(directory)};
    while (!pending.empty() && directory) {
      const bool is_down = !pending.back().empty();
      const std::string name = is_down ? std::move(pending.back().back()) : "..";
      UniqueFd next(
          openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!is_down) {
        pending.pop_back();
        directory = std::move(next);
        continue;
      }
      pending.back().pop_back();
      if (!next) continue;
      directory = std::move(next);
      pending.push_back(list(directory));
    }
  }

  std::uint64_t bytes() const { return blocks_ * 512; }

 private:
  // Adds what is in the directory and returns its subdirectories.
  std::vector<std::string> list(const UniqueFd& directory) {
    std::vector<std::string> below;
    const Directory stream = open_directory_at(directory.get(), ".");
    if (!stream) return below;
    struct stat info = {};
    while (const dirent* entry = readdir(stream.get())) {
      if (is_dot(entry->d_name)) continue;
      if (fstatat(directory.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      add(info);
      if (S_ISDIR(info.st_mode)) below.emplace_back(entry->d_name);
    }
    return below;
  }

  std::uint64_t blocks_ = 0;
  std::set<std::pair<dev_t, ino_t>> linked_;
};

}  // namespace

void remove_tree(const fs::path& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return;
  const int reason = errno;
  if (reason != EISDIR && reason != EPERM) throw_errno(path.string());
  Directory top = open_directory_at(AT_FDCWD, path.c_str());
  if (!top) throw_errno(path.string(), errno == ENOTDIR ? reason : errno);
  TreeRemover(std::move(top), path.string()).run();
}

void remove_tree_quietly(const fs::path& path) noexcept {
  try {
    remove_tree(path);
  } catch (...) {  // the next sweep tries again
  }
}

std::uint64_t disk_usage(const fs::path& path) {
  DiskUsage usage;
  struct stat info = {};
  check(lstat(path.c_str(), &info), path.string());
  usage.add(info);
  if (S_ISDIR(info.st_mode)) {
    usage.add_below(open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  return usage.bytes();
}

std::vector<std::uint64_t> disk_usage_of_each(const std::vector<fs::path>& paths) {
  DiskUsage usage;
  std::vector<std::uint64_t> sizes;
  for (const fs::path& path : paths) {
    const std::uint64_t before = usage.bytes();
    struct stat info = {};
    if (lstat(path.c_str(), &info) == 0) {
      usage.add(info);
      const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
      if (UniqueFd fd(open(path.c_str(), flags)); fd) usage.add_below(std::move(fd));
    }
    sizes.push_back(usage.bytes() - before);
  }
  return sizes;
}

std::vector<std::string> sorted_names(int dir_fd) {
  UniqueFd own = open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY);
  const Directory stream(fdopendir(own.get()));
  if (!stream) throw_errno("read directory");
  static_cast<void>(own.release());
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace base
