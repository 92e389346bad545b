#include "engine/file_copy.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <map>
#include <string_view>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "engine/copy_rules.h"

namespace engine {
namespace {

constexpr int kMaxDepth = 512;
constexpr int kAttempts = 16;  // against somebody who makes the name again and again
constexpr std::size_t kPiece = 256U << 10U;

using Owner = FileCopyOptions::Owner;

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// O_PATH opens nothing: a FIFO does not wait, a device does nothing.
base::UniqueFd find_entry(int dir_fd, const std::string& name) {
  base::UniqueFd fd(openat(dir_fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno != ENOENT) base::throw_errno(base::printable(name));
  return fd;
}

struct stat info_of(int fd) {
  struct stat info = {};
  base::check(fstat(fd, &info), "stat");
  return info;
}

bool is_copied_xattr(std::string_view name, Owner owner) {
  if (name == "security.capability") return owner != Owner::kOurs;
  return name.starts_with("user.");
}

void copy_xattrs(int from, int to, Owner owner) {
  std::string names(65536, '\0');
  const ssize_t size = flistxattr(from, names.data(), names.size());
  if (size <= 0) return;  // none, or none here
  std::string value(65536, '\0');
  for (const char* name = names.data(); name < names.data() + size;
       name += std::string_view(name).size() + 1) {
    if (!is_copied_xattr(name, owner)) continue;
    const ssize_t length = fgetxattr(from, name, value.data(), value.size());
    if (length < 0) continue;
    if (fsetxattr(to, name, value.data(), static_cast<std::size_t>(length), 0) != 0 &&
        errno != ENOTSUP && errno != EPERM && errno != ENOSPC) {
      base::throw_errno(std::string("set ") + name);
    }
  }
}

// Whole files, whatever their size says: those of procfs say 0. Holes stay holes.
std::uint64_t copy_content(int from, int to, off_t size) {
  std::string buffer(kPiece, '\0');
  off_t at = 0;
  for (;;) {
    if (at < size) {
      const off_t data = lseek(from, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;  // only a hole is left
      if (data > at) at = data;
    }
    const ssize_t count = pread(from, buffer.data(), buffer.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == ESPIPE) return 0;
    base::check(count, "read");
    if (count == 0) break;
    for (ssize_t done = 0; done < count;) {
      const ssize_t part =
          pwrite(to, buffer.data() + done, static_cast<std::size_t>(count - done), at + done);
      if (part < 0 && errno == EINTR) continue;
      done += base::check(part, "write");
    }
    at += count;
  }
  const off_t end = std::max(at, size);
  base::check(ftruncate(to, end), "set size");
  return static_cast<std::uint64_t>(end);
}

class Copier {
 public:
  explicit Copier(const FileCopyOptions& options) : options_(options) {}

  void copy(int from_dir, const std::string& from_name, int to_dir, const std::string& to_name,
            const std::string& shown, int depth) {
    const base::UniqueFd from = find_entry(from_dir, from_name);
    if (!from) return;  // gone meanwhile
    const struct stat info = info_of(from.get());
    if (S_ISSOCK(info.st_mode)) return;
    if (S_ISDIR(info.st_mode)) {
      return copy_directory(from.get(), info, to_dir, to_name, shown, depth);
    }
    refuse_directory(to_dir, to_name, shown);
    if (S_ISREG(info.st_mode)) {
      copy_file(from.get(), info, to_dir, to_name, shown);
    } else {
      copy_special(from.get(), info, to_dir, to_name);
      bytes_ += tar_bytes(0);
    }
  }

  std::uint64_t bytes() const { return bytes_; }

  void copy_children(int from, int to, const std::string& shown, int depth) {
    if (depth > kMaxDepth) {
      throw base::Error(base::ErrorKind::kUnsupported,
                        "more than " + std::to_string(kMaxDepth) + " levels of directories");
    }
    for (const std::string& name : base::sorted_names(from)) {
      base::while_doing(base::printable(name),
                        [&] { copy(from, name, to, name, shown + "/" + name, depth); });
    }
  }

 private:
  void copy_directory(int from, const struct stat& info, int to_dir, const std::string& name,
                      const std::string& shown, int depth) {
    if (mkdirat(to_dir, name.c_str(), 0700) != 0 && errno != EEXIST) base::throw_errno("mkdir");
    base::UniqueFd to(
        openat(to_dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!to && (errno == ENOTDIR || errno == ELOOP)) {
      throw base::Error(
          base::ErrorKind::kConflict,
          "cannot overwrite non-directory \"" + base::printable(shown) + "\" with directory");
    }
    if (!to) base::throw_errno(base::printable(name));
    const base::UniqueFd source = base::open_file(proc_path(from), O_RDONLY | O_DIRECTORY);
    bytes_ += tar_bytes(0);
    copy_children(source.get(), to.get(), shown, depth + 1);
    copy_attributes(source.get(), to.get(), info);
  }

  static void refuse_directory(int to_dir, const std::string& name, const std::string& shown) {
    struct stat there = {};
    if (fstatat(to_dir, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (!S_ISDIR(there.st_mode)) return;
    throw base::Error(
        base::ErrorKind::kConflict,
        "cannot overwrite directory \"" + base::printable(shown) + "\" with non-directory");
  }

  // Makes `name` anew in place of what is there. `make` is a system call's wrapper: -1 and errno.
  template <class Make>
  static int replace(int to_dir, const std::string& name, Make&& make) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (unlinkat(to_dir, name.c_str(), 0) != 0 && errno != ENOENT) return -1;
      const int result = make();
      if (result >= 0 || errno != EEXIST) return result;
    }
    return -1;
  }

  // A file that is a mount of its own (/etc/hosts of a container) can't be replaced: it is written.
  static base::UniqueFd open_in_place(int to_dir, const std::string& name) {
    const base::UniqueFd there = find_entry(to_dir, name);
    if (!there || !S_ISREG(info_of(there.get()).st_mode)) base::throw_errno(name, EBUSY);
    return base::open_file(proc_path(there.get()), O_WRONLY | O_TRUNC);
  }

  void copy_file(int from, const struct stat& info, int to_dir, const std::string& name,
                 const std::string& shown) {
    if (info.st_nlink > 1 && link_to_earlier(info, to_dir, name)) return;
    const base::UniqueFd source = base::open_file(proc_path(from), O_RDONLY | O_NONBLOCK);
    base::UniqueFd to(replace(to_dir, name, [&] {
      return openat(to_dir, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }));
    const bool in_place = !to && errno == EBUSY;
    if (in_place) to = open_in_place(to_dir, name);
    if (!to) base::throw_errno(base::printable(shown));
    bytes_ += tar_bytes(copy_content(source.get(), to.get(), info.st_size));
    if (!in_place) copy_attributes(source.get(), to.get(), info);
    if (info.st_nlink > 1 && links_.size() < kMaxLinks) {
      links_.emplace(std::pair(info.st_dev, info.st_ino), std::move(to));
    }
  }

  // The earlier copy is held by its descriptor: its name may be another file's by now.
  bool link_to_earlier(const struct stat& info, int to_dir, const std::string& name) {
    const auto found = links_.find(std::pair(info.st_dev, info.st_ino));
    if (found == links_.end()) return false;
    const std::string path = proc_path(found->second.get());
    const int result = replace(to_dir, name, [&] {
      return linkat(AT_FDCWD, path.c_str(), to_dir, name.c_str(), AT_SYMLINK_FOLLOW);
    });
    if (result == 0) bytes_ += tar_bytes(0);
    return result == 0;  // on another mount, or unlinked meanwhile: a copy of its own
  }

  void copy_special(int from, const struct stat& info, int to_dir, const std::string& name) {
    int result = -1;
    if (S_ISLNK(info.st_mode)) {
      std::string target(PATH_MAX, '\0');
      const ssize_t size = readlinkat(from, "", target.data(), target.size());
      target.resize(static_cast<std::size_t>(base::check(size, "read link")));
      result =
          replace(to_dir, name, [&] { return symlinkat(target.c_str(), to_dir, name.c_str()); });
    } else {
      result = replace(to_dir, name, [&] {
        return mknodat(to_dir, name.c_str(), (info.st_mode & S_IFMT) | 0600U, info.st_rdev);
      });
    }
    if (result != 0) base::throw_errno(base::printable(name));
    const base::UniqueFd made = find_entry(to_dir, name);
    // Somebody else's by now: not ours to change.
    if (!made || (info_of(made.get()).st_mode & S_IFMT) != (info.st_mode & S_IFMT)) return;
    set_owner(made.get(), info);
    const bool is_device = S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
    if (!S_ISLNK(info.st_mode) && !(is_device && options_.owner == Owner::kOurs)) {
      base::check(chmod(proc_path(made.get()).c_str(), mode_of(info)), "chmod");
    }
    set_times(made.get(), info);
  }

  mode_t mode_of(const struct stat& info) const {
    const mode_t kept = options_.owner == Owner::kOurs && !S_ISDIR(info.st_mode) ? 01777U : 07777U;
    return info.st_mode & kept;
  }

  void set_owner(int to, const struct stat& info) const {
    if (options_.owner == Owner::kOurs) return;
    const bool kept = options_.owner == Owner::kKept;
    base::check(fchownat(to, "", kept ? info.st_uid : options_.uid,
                         kept ? info.st_gid : options_.gid, AT_EMPTY_PATH),
                "chown");
  }

  static void set_times(int to, const struct stat& info) {
    const std::array<timespec, 2> times = {info.st_atim, info.st_mtim};
    base::check(utimensat(to, "", times.data(), AT_EMPTY_PATH), "set times");
  }

  // chown(2) clears set-user-id bits and capabilities: first. Times last.
  void copy_attributes(int from, int to, const struct stat& info) const {
    set_owner(to, info);
    copy_xattrs(from, to, options_.owner);
    base::check(fchmod(to, mode_of(info)), "chmod");
    set_times(to, info);
  }

  static constexpr std::size_t kMaxLinks = 4096;  // beyond, links become files of their own
  const FileCopyOptions& options_;
  std::map<std::pair<dev_t, ino_t>, base::UniqueFd> links_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::uint64_t copy_entry(const CopyEnd& from, const CopyEnd& to, const FileCopyOptions& options) {
  constexpr std::uint64_t kTarEnd = 1024;
  rlimit limit = {};  // a descriptor or two for each level
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  Copier copier(options);
  std::uint64_t top = 0;
  if (to.name == ".") {
    const base::UniqueFd source =
        base::open_at(from.parent_fd, from.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const base::UniqueFd target = base::open_at(to.parent_fd, ".", O_RDONLY | O_DIRECTORY);
    copier.copy_children(source.get(), target.get(), to.shown, 0);
    top = tar_bytes(0);
  } else {
    copier.copy(from.parent_fd, from.name, to.parent_fd, to.name, to.shown, 0);
  }
  return copier.bytes() + top + kTarEnd;
}

}  // namespace engine
