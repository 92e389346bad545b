#include "engine/tree_copy.h"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/unique_fd.h"

namespace engine {
namespace {

using Directory = base::CHandle<DIR, closedir>;

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Through /proc, so that it also works for O_PATH descriptors of symbolic links and devices.
void copy_xattrs(int from, int to) {
  const std::string source = proc_path(from);
  const std::string target = proc_path(to);
  std::string names(65536, '\0');
  const ssize_t size = listxattr(source.c_str(), names.data(), names.size());
  if (size < 0 && (errno == ENOTSUP || errno == EPERM)) return;
  base::check(size, "list extended attributes");
  if (size == 0) return;
  std::string value(65536, '\0');
  for (const char* name = names.data(); name < names.data() + size;
       name += std::string_view(name).size() + 1) {
    if (std::string_view(name).starts_with("trusted.overlay.")) continue;
    const ssize_t length = getxattr(source.c_str(), name, value.data(), value.size());
    if (length < 0) continue;
    if (setxattr(target.c_str(), name, value.data(), static_cast<std::size_t>(length), 0) != 0 &&
        errno != ENOTSUP && errno != EPERM) {
      base::throw_errno(std::string("set ") + name);
    }
  }
}

void copy_attributes(int from, int to, const struct stat& info) {
  // chown(2) clears the set-user-id bits and capabilities: first; times last.
  base::check(fchownat(to, "", info.st_uid, info.st_gid, AT_EMPTY_PATH), "chown");
  copy_xattrs(from, to);
  if (!S_ISLNK(info.st_mode)) {
    base::check(chmod(proc_path(to).c_str(), info.st_mode & 07777U), "chmod");
  }
}

void copy_times(int to, const struct stat& info) {
  const timespec times[2] = {info.st_atim, info.st_mtim};
  base::check(utimensat(to, "", times, AT_EMPTY_PATH), "utimensat");
}

void copy_range(int from, int to, off_t start, off_t end) {
  base::check(lseek(to, start, SEEK_SET), "lseek");
  while (start < end) {
    const ssize_t count = sendfile(to, from, &start, static_cast<std::size_t>(end - start));
    base::check(count, "copy");
    if (count == 0) break;  // it shrank: not ours to judge
  }
}

void copy_content(int from, int to, off_t size) {
  base::check(ftruncate(to, size), "ftruncate");
  for (off_t at = 0; at < size;) {
    const off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // only a hole is left
    if (data < 0) return copy_range(from, to, at, size);
    off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0) hole = size;
    copy_range(from, to, data, hole);
    at = hole;
  }
}

struct Level {
  Directory from;
  base::UniqueFd to;
  struct stat info;
  std::string path;  // relative to the root of the copy, with a '/' at its end
};

class Copier {
 public:
  Copier(int from, int to) : root_(to) {
    struct stat info = {};
    base::check(fstat(from, &info), "fstat");
    push(base::open_at(from, ".", O_RDONLY | O_DIRECTORY),
         base::open_at(to, ".", O_RDONLY | O_DIRECTORY), info, "");
  }

  void run() {
    while (!stack_.empty()) {
      const dirent* const entry = readdir(stack_.back().from.get());
      if (entry == nullptr) {
        finish_level();
        continue;
      }
      const std::string name = entry->d_name;
      if (name != "." && name != "..") {
        base::while_doing("copy " + stack_.back().path + name, [&] { copy_entry(name); });
      }
    }
  }

 private:
  void push(base::UniqueFd from, base::UniqueFd to, const struct stat& info, std::string path) {
    Directory stream(fdopendir(from.get()));
    if (!stream) base::throw_errno("fdopendir");
    static_cast<void>(from.release());
    stack_.push_back({std::move(stream), std::move(to), info, std::move(path)});
  }

  void finish_level() {
    Level& level = stack_.back();
    copy_attributes(dirfd(level.from.get()), level.to.get(), level.info);
    copy_times(level.to.get(), level.info);
    stack_.pop_back();
  }

  bool link_to_earlier(const struct stat& info, int folder, const std::string& name) {
    if (info.st_nlink < 2 || S_ISDIR(info.st_mode)) return false;
    const auto [it, first] =
        links_.emplace(std::pair(info.st_dev, info.st_ino), stack_.back().path + name);
    if (first) return false;
    base::check(linkat(root_, it->second.c_str(), folder, name.c_str(), 0), "link");
    return true;
  }

  void copy_entry(const std::string& name) {
    const int from_folder = dirfd(stack_.back().from.get());
    const int to_folder = stack_.back().to.get();
    base::UniqueFd from = base::open_at(from_folder, name, O_PATH | O_NOFOLLOW);
    struct stat info = {};
    base::check(fstat(from.get(), &info), "fstat");
    if (link_to_earlier(info, to_folder, name)) return;
    if (S_ISDIR(info.st_mode)) {
      base::check(mkdirat(to_folder, name.c_str(), 0700), "mkdir");
      const std::string path = stack_.back().path + name + "/";
      push(base::open_at(from_folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
           base::open_at(to_folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), info, path);
      return;
    }
    if (S_ISREG(info.st_mode)) {
      from = base::open_at(from_folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const base::UniqueFd to =
          base::open_at(to_folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
      copy_content(from.get(), to.get(), info.st_size);
      copy_attributes(from.get(), to.get(), info);
      copy_times(to.get(), info);
      return;
    }
    if (S_ISLNK(info.st_mode)) {
      std::string target(static_cast<std::size_t>(info.st_size) + 1, '\0');
      const ssize_t size = readlinkat(from.get(), "", target.data(), target.size());
      base::check(size, "readlink");
      target.resize(static_cast<std::size_t>(size));
      base::check(symlinkat(target.c_str(), to_folder, name.c_str()), "symlink");
    } else {
      base::check(mknodat(to_folder, name.c_str(), info.st_mode, info.st_rdev), "mknod");
    }
    const base::UniqueFd to = base::open_at(to_folder, name, O_PATH | O_NOFOLLOW);
    copy_attributes(from.get(), to.get(), info);
    copy_times(to.get(), info);
  }

  int root_;
  std::vector<Level> stack_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

void copy_tree(int from, int to) {
  // Two descriptors a level: a deep tree may need more than the usual 1024.
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised);
  }
  const mode_t old_mask = umask(0);
  base::Cleanup restore([&] {
    umask(old_mask);
    setrlimit(RLIMIT_NOFILE, &limit);
  });
  Copier(from, to).run();
}

void copy_directory_attributes(int from, int to) {
  struct stat info = {};
  base::check(fstat(from, &info), "stat");
  copy_attributes(from, to, info);
  copy_times(to, info);
}

}  // namespace engine
