// The child's copy of a directory of the image into the tmpfs that will hide it: `tmpcopyup`.
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

// A stack frame each; deeper trees than this do not belong into memory.
constexpr int kDeepest = 64;

struct KernelDirent {  // struct linux_dirent64 of getdents64(2)
  uint64_t inode;
  int64_t offset;
  unsigned short size;
  unsigned char type;
  char name[1];
};

int copy_bytes(int from_fd, int to_fd) noexcept {
  for (;;) {
    const long size = call(SYS_sendfile, to_fd, from_fd, nullptr, size_t{1} << 30U);
    if (size == 0) return 0;
    if (size < 0 && last_error != EINTR) return -1;
  }
}

// After the content: writing it would change both the times and the set-id bits.
int copy_metadata(int dir_fd, const char* name, const struct stat& info) noexcept {
  if (call(SYS_fchownat, dir_fd, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return -1;
  }
  if (!S_ISLNK(info.st_mode) && call(SYS_fchmodat, dir_fd, name, info.st_mode & 07777U) != 0) {
    return -1;
  }
  const timespec times[2] = {info.st_atim, info.st_mtim};
  return static_cast<int>(call(SYS_utimensat, dir_fd, name, times, AT_SYMLINK_NOFOLLOW));
}

int copy_file(int from_dir, int to_dir, const char* name) noexcept {
  const int from_fd = static_cast<int>(
      call(SYS_openat, from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0));
  if (from_fd < 0) return -1;
  const int to_fd = static_cast<int>(
      call(SYS_openat, to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  const int result = to_fd < 0 ? -1 : copy_bytes(from_fd, to_fd);
  close_fd(to_fd);
  close_fd(from_fd);
  return result;
}

int copy_link(int from_dir, int to_dir, const char* name) noexcept {
  char text[4096];
  const long size = call(SYS_readlinkat, from_dir, name, text, sizeof text - 1);
  if (size < 0) return -1;
  text[size] = '\0';
  return static_cast<int>(call(SYS_symlinkat, text, to_dir, name));
}

int copy_directory(int from_fd, int to_fd, int depth) noexcept;

int copy_subdirectory(int from_dir, int to_dir, const char* name, int depth) noexcept {
  if (depth == kDeepest) return fail(ELOOP);
  if (call(SYS_mkdirat, to_dir, name, 0700) != 0) return -1;
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const int from_fd = static_cast<int>(call(SYS_openat, from_dir, name, kFlags, 0));
  const int to_fd = from_fd < 0 ? -1 : static_cast<int>(call(SYS_openat, to_dir, name, kFlags, 0));
  const int result = to_fd < 0 ? -1 : copy_directory(from_fd, to_fd, depth + 1);
  close_fd(to_fd);
  close_fd(from_fd);
  return result;
}

int copy_entry(int from_dir, int to_dir, const char* name, int depth) noexcept {
  struct stat info = {};
  if (call(SYS_newfstatat, from_dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  int result = 0;
  if (S_ISDIR(info.st_mode)) {
    result = copy_subdirectory(from_dir, to_dir, name, depth);
  } else if (S_ISREG(info.st_mode)) {
    result = copy_file(from_dir, to_dir, name);
  } else if (S_ISLNK(info.st_mode)) {
    result = copy_link(from_dir, to_dir, name);
  } else {
    result = static_cast<int>(
        call(SYS_mknodat, to_dir, name, info.st_mode, static_cast<unsigned>(info.st_rdev)));
  }
  return result == 0 ? copy_metadata(to_dir, name, info) : -1;
}

bool is_dot(const char* name) noexcept { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

int copy_directory(int from_fd, int to_fd, int depth) noexcept {
  alignas(KernelDirent) char entries[2048] = {};
  for (;;) {
    const long size = call(SYS_getdents64, from_fd, entries, sizeof entries);
    if (size <= 0) return size == 0 ? 0 : -1;
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const KernelDirent*>(entries + at);
      at += entry->size;
      if (!is_dot(entry->name) && copy_entry(from_fd, to_fd, entry->name, depth) != 0) return -1;
    }
  }
}

}  // namespace

int copy_tree(int source_fd, int mount_fd) noexcept {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const int from_fd = static_cast<int>(call(SYS_openat, source_fd, ".", kFlags, 0));
  if (from_fd < 0) return -1;
  const int to_fd = static_cast<int>(call(SYS_openat, mount_fd, ".", kFlags, 0));
  const int result = to_fd < 0 ? -1 : copy_directory(from_fd, to_fd, 0);
  close_fd(to_fd);
  close_fd(from_fd);
  return result;
}

}  // namespace runtime
