#include "storage/locks.h"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"

namespace storage {
namespace {

bool try_flock(int fd, int operation) {
  for (;;) {
    if (flock(fd, operation) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) base::throw_errno("flock");
  }
}

}  // namespace

bool is_still_at(int fd, const fs::path& path) {
  struct stat opened = {};
  struct stat named = {};
  return fstat(fd, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

std::optional<base::UniqueFd> try_lock_entry(const fs::path& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  if (!is_still_at(fd.get(), path)) return std::nullopt;
  return fd;
}

std::optional<base::UniqueFd> lock_file(const fs::path& path, LockKind kind, LockWait wait) {
  const int operation =
      (kind == LockKind::kShared ? LOCK_SH : LOCK_EX) | (wait == LockWait::kNo ? LOCK_NB : 0);
  for (;;) {
    base::UniqueFd fd = base::open_file(path, O_RDWR | O_CREAT, 0600);
    if (!try_flock(fd.get(), operation)) return std::nullopt;
    // While we waited the holder may have removed the file: then we hold the lock of nothing.
    if (is_still_at(fd.get(), path)) return fd;
  }
}

std::vector<fs::path> list_entries(const fs::path& directory) {
  const base::CHandle<DIR, closedir> stream(opendir(directory.c_str()));
  if (!stream) {
    if (errno == ENOENT) return {};
    base::throw_errno(directory.string());
  }
  std::vector<fs::path> entries;
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) base::throw_errno(directory.string());
      return entries;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.push_back(directory / name);
  }
}

}  // namespace storage
