#include "base/files.h"

#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <set>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"

namespace base {
namespace {

// openat2 answers EAGAIN while a rename races with a ".." in the path; see openat2(2), ERRORS.
constexpr int kRaceRetries = 128;

int openat2_in_root(int root_fd, const fs::path& path, int flags, mode_t mode) {
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags) | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const long fd = syscall(SYS_openat2, root_fd, path.c_str(), &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN || attempt == kRaceRetries) return static_cast<int>(fd);
  }
}

using Directory = CHandle<DIR, closedir>;

struct OpenDirectory {
  Directory stream;
  std::string name;  // below its parent
};

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
  for (;;) {
    const std::size_t old_size = content.size();
    content.resize(old_size + 16384);
    const ssize_t count = read(fd, content.data() + old_size, 16384);
    if (count < 0 && errno == EINTR) {
      content.resize(old_size);
      continue;
    }
    check(count, "read");
    content.resize(old_size + static_cast<std::size_t>(count));
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
    const UniqueFd folder = open_file(path.parent_path(), O_RDONLY | O_DIRECTORY);
    check(fsync(folder.get()), path.parent_path().string());
  }
}

void make_dirs(const fs::path& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return;
  if (errno == EEXIST) return;
  if (errno != ENOENT || !path.has_parent_path() || path.parent_path() == path) {
    throw_errno(path.string());
  }
  make_dirs(path.parent_path(), mode);
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) throw_errno(path.string());
}

void remove_tree(const fs::path& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) throw_errno(path.string());

  std::vector<OpenDirectory> stack;
  stack.push_back({open_directory_at(AT_FDCWD, path.c_str()), path.string()});
  if (!stack.back().stream) throw_errno(path.string());
  while (!stack.empty()) {
    DIR* const stream = stack.back().stream.get();
    errno = 0;
    const dirent* entry = readdir(stream);
    if (entry == nullptr) {
      const std::string name = std::move(stack.back().name);
      stack.pop_back();
      const int parent = stack.empty() ? AT_FDCWD : dirfd(stack.back().stream.get());
      if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
        throw_errno("remove " + name);
      }
      continue;
    }
    if (is_dot(entry->d_name)) continue;
    const int flags = entry->d_type == DT_DIR ? AT_REMOVEDIR : 0;
    if (unlinkat(dirfd(stream), entry->d_name, flags) == 0 || errno == ENOENT) continue;
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR) {
      throw_errno("remove " + std::string(entry->d_name));
    }
    Directory child = open_directory_at(dirfd(stream), entry->d_name);
    if (!child) throw_errno("remove " + std::string(entry->d_name));
    stack.push_back({std::move(child), entry->d_name});
  }
}

void remove_tree_quietly(const fs::path& path) noexcept {
  try {
    remove_tree(path);
  } catch (...) {  // the next sweep tries again
  }
}

std::uint64_t disk_usage(const fs::path& path) {
  std::uint64_t blocks = 0;
  std::set<std::pair<dev_t, ino_t>> linked;
  const auto count = [&](const struct stat& info) {
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) &&
        !linked.emplace(info.st_dev, info.st_ino).second) {
      return;
    }
    blocks += static_cast<std::uint64_t>(info.st_blocks);
  };
  struct stat info = {};
  check(lstat(path.c_str(), &info), path.string());
  count(info);
  if (!S_ISDIR(info.st_mode)) return blocks * 512;

  std::vector<Directory> stack;
  stack.push_back(open_directory_at(AT_FDCWD, path.c_str()));
  if (!stack.back()) throw_errno(path.string());
  while (!stack.empty()) {
    DIR* const stream = stack.back().get();
    const dirent* entry = readdir(stream);
    if (entry == nullptr) {
      stack.pop_back();
      continue;
    }
    if (is_dot(entry->d_name)) continue;
    if (fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    count(info);
    if (!S_ISDIR(info.st_mode)) continue;
    if (Directory child = open_directory_at(dirfd(stream), entry->d_name)) {
      stack.push_back(std::move(child));
    }
  }
  return blocks * 512;
}

std::string random_hex(std::size_t bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned char byte = 0;
    check(getrandom(&byte, 1, 0), "getrandom");
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

}  // namespace base
