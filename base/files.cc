#include "base/files.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/error.h"

namespace base {
namespace {

// openat2 answers EAGAIN while a rename races with a ".." in the path; see openat2(2), ERRORS.
constexpr int kRaceRetries = 128;

int openat2_in_root(int root_fd, const fs::path& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags) | O_CLOEXEC);
  // openat2 refuses a mode where nothing is made. O_TMPFILE includes the bit of O_DIRECTORY.
  const bool makes_file = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  how.mode = makes_file ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const long fd = syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN || attempt == kRaceRetries) return static_cast<int>(fd);
  }
}

}  // namespace

UniqueFd open_file(const fs::path& path, int flags, mode_t mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

UniqueFd open_at(int dir_fd, const fs::path& path, int flags, mode_t mode) {
  return UniqueFd(check(openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode), path.string()));
}

UniqueFd open_in_root(int root_fd, const fs::path& path, int flags, mode_t mode) {
  return UniqueFd(check(openat2_in_root(root_fd, path, flags, mode), path.string()));
}

std::optional<UniqueFd> find_in_root(int root_fd, const fs::path& path, int flags) {
  UniqueFd fd(openat2_in_root(root_fd, path, flags, 0));
  if (fd) return fd;
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
  throw_errno(path.string());
}

std::string read_fd(int fd, std::size_t limit) {
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    check(count, "read");
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > limit) {
      throw Error(ErrorKind::kInvalid, "larger than " + std::to_string(limit) + " bytes");
    }
    if (count == 0) return content;
  }
}

std::string read_file(const fs::path& path, std::size_t limit) {
  const UniqueFd fd = open_file(path, O_RDONLY);
  return while_doing(path.string(), [&] { return read_fd(fd.get(), limit); });
}

std::optional<std::string> find_file(const fs::path& path, std::size_t limit) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) return while_doing(path.string(), [&] { return read_fd(fd.get(), limit); });
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_errno(path.string());
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    check(count, "write");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void write_file(const fs::path& path, std::string_view bytes, mode_t mode) {
  const UniqueFd fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  while_doing(path.string(), [&] { write_all(fd.get(), bytes); });
}

void replace_file(const fs::path& path, std::string_view bytes, mode_t mode,
                  Durability durability) {
  const fs::path staging = path.string() + ".tmp-" + random_hex(8);
  Cleanup discard([&] { unlink(staging.c_str()); });
  const UniqueFd fd = open_file(staging, O_WRONLY | O_CREAT | O_EXCL, mode);
  while_doing(path.string(), [&] {
    write_all(fd.get(), bytes);
    if (durability == Durability::kSynced) check(fsync(fd.get()), "fsync");
    check(rename(staging.c_str(), path.c_str()), "rename");
  });
  discard.dismiss();
  if (durability == Durability::kSynced) {
    const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
    const UniqueFd folder = open_file(parent, O_RDONLY | O_DIRECTORY);
    check(fsync(folder.get()), parent.string());
  }
}

bool add_file(const fs::path& path, std::string_view bytes, mode_t mode) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const UniqueFd fd(open(parent.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  if (!fd) {
    struct stat info = {};
    if (lstat(path.c_str(), &info) == 0) return false;
    replace_file(path, bytes, mode);
    return true;
  }
  return while_doing(path.string(), [&] {
    write_all(fd.get(), bytes);
    // Not AT_EMPTY_PATH, which takes CAP_DAC_READ_SEARCH; see open(2), O_TMPFILE.
    const std::string name = "/proc/self/fd/" + std::to_string(fd.get());
    if (linkat(AT_FDCWD, name.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno != EEXIST) throw_errno("link");
    return false;
  });
}

void make_dirs(const fs::path& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return;
  if (errno == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    make_dirs(path.parent_path(), mode);
    if (mkdir(path.c_str(), mode) == 0) return;
  }
  if (errno != EEXIST) throw_errno(path.string());
  struct stat info = {};
  check(stat(path.c_str(), &info), path.string());
  if (!S_ISDIR(info.st_mode)) throw_errno(path.string(), ENOTDIR);
}

std::string random_hex(std::size_t bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string random(bytes, '\0');
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t count = getrandom(random.data() + done, bytes - done, 0);
    if (count < 0 && errno == EINTR) continue;
    done += static_cast<std::size_t>(check(count, "getrandom"));
  }
  std::string text;
  text.reserve(2 * bytes);
  for (const char byte : random) {
    const unsigned value = static_cast<unsigned char>(byte);
    text.push_back(kDigits[value >> 4U]);
    text.push_back(kDigits[value & 15U]);
  }
  return text;
}

}  // namespace base
