#include "storage/changes.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace storage {
namespace {

constexpr int kMaxDepth = 512;  // as for layers that are unpacked

using Names = std::vector<std::string>;

std::optional<struct stat> find_entry(int dir_fd, const std::string& name) {
  struct stat info = {};
  if (dir_fd < 0) return std::nullopt;
  if (fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT) return std::nullopt;
  base::throw_errno("stat " + base::printable(name));
}

bool is_device_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

// Kernel, overlayfs.rst, "whiteouts and opaque directories": a 0/0 device, or an empty file with an
// attribute where a whiteout had to go through another overlay.
bool is_whiteout_entry(int dir_fd, const std::string& name, const struct stat& info) {
  if (is_device_whiteout(info)) return true;
  if (!S_ISREG(info.st_mode) || info.st_size != 0) return false;
  const std::string path = "/proc/self/fd/" + std::to_string(dir_fd) + "/" + name;
  return lgetxattr(path.c_str(), "trusted.overlay.whiteout", nullptr, 0) >= 0;
}

std::optional<struct stat> find_lower(int dir_fd, const std::string& name) {
  auto info = find_entry(dir_fd, name);
  if (info && is_device_whiteout(*info)) return std::nullopt;
  return info;
}

// "x" says something else: that the directory holds whiteouts of the other kind.
bool is_opaque(int dir_fd) {
  char value = 0;
  return fgetxattr(dir_fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

base::UniqueFd open_directory(int dir_fd, const std::string& name) {
  return base::UniqueFd(
      openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void append_names(int dir_fd, Names& names) {
  base::UniqueFd copy = base::open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY);
  const base::CHandle<DIR, closedir> stream(fdopendir(copy.get()));
  if (!stream) base::throw_errno("read directory");
  static_cast<void>(copy.release());
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

bool has_same_attributes(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

bool has_same_time(const struct stat& a, const struct stat& b) {
  return a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// A directory of the upper tree beside what the layers have at its place.
struct Pair {
  int upper = -1;
  int lower = -1;      // -1: no directory
  bool merged = true;  // false: the lower one is hidden, and only its names are of interest
};

class Walk {
 public:
  explicit Walk(const ChangeOptions& options) : options_(options) {
    for (const std::string& path : options.hidden) {
      for (std::size_t end = path.rfind('/'); end != std::string::npos && end > 0;
           end = path.rfind('/', end - 1)) {
        above_hidden_.insert(path.substr(0, end));
      }
    }
  }

  void enter(const Pair& pair, const std::string& path, int depth) {
    if (depth > kMaxDepth) {
      throw base::Error(base::ErrorKind::kUnsupported,
                        "more than " + std::to_string(kMaxDepth) +
                            " levels of directories: " + base::printable(path));
    }
    Names names;
    append_names(pair.upper, names);
    if (!pair.merged && pair.lower >= 0) append_names(pair.lower, names);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& name : names) visit(pair, name, path + "/" + name, depth);
  }

  std::vector<Change> take() { return std::move(changes_); }

 private:
  void visit(const Pair& parent, const std::string& name, const std::string& path, int depth) {
    if (options_.hidden.contains(path)) return;
    const auto lower = find_lower(parent.lower, name);
    const auto upper = find_entry(parent.upper, name);
    if (!upper || is_whiteout_entry(parent.upper, name, *upper)) {
      // Of something that was both made and removed in the container nothing is to be said.
      if (lower) {
        changes_.push_back(
            {.kind = Change::Kind::kDeleted, .path = path, .implied = !parent.merged});
      }
      return;
    }
    if (S_ISDIR(upper->st_mode)) return visit_directory(parent, name, path, *upper, lower, depth);
    changes_.push_back({.kind = kind_over(lower), .path = path});
  }

  void visit_directory(const Pair& parent, const std::string& name, const std::string& path,
                       const struct stat& info, const std::optional<struct stat>& lower_info,
                       int depth) {
    const base::UniqueFd upper = open_directory(parent.upper, name);
    if (!upper) return;  // gone meanwhile
    const bool has_lower = lower_info && S_ISDIR(lower_info->st_mode);
    const base::UniqueFd lower = has_lower ? open_directory(parent.lower, name) : base::UniqueFd();
    const bool opaque = has_lower && parent.merged && is_opaque(upper.get());
    const std::size_t own = changes_.size();
    changes_.push_back({.kind = kind_over(lower_info), .path = path, .opaque = opaque});
    enter({.upper = upper.get(), .lower = lower.get(), .merged = parent.merged && !opaque}, path,
          depth + 1);
    if (changes_.size() > own + 1 || opaque) return;
    if (!is_change_by_itself(path, info, lower_info)) changes_.pop_back();
  }

  bool is_change_by_itself(const std::string& path, const struct stat& info,
                           const std::optional<struct stat>& lower) const {
    // The engine has made the directory, or has changed its time, when it made targets in it.
    const bool is_engines = above_hidden_.contains(path);
    if (!lower) return !is_engines;
    if (!has_same_attributes(info, *lower)) return true;
    return !is_engines && !has_same_time(info, *lower);
  }

  static Change::Kind kind_over(const std::optional<struct stat>& lower) {
    return lower ? Change::Kind::kChanged : Change::Kind::kAdded;
  }

  const ChangeOptions& options_;
  std::set<std::string> above_hidden_;
  std::vector<Change> changes_;
};

}  // namespace

std::vector<Change> list_changes(int upper_fd, int lower_fd, const ChangeOptions& options) {
  Walk walk(options);
  walk.enter({.upper = upper_fd, .lower = lower_fd}, "", 0);
  return walk.take();
}

}  // namespace storage
