#include "storage/unpack/whiteout.h"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"

namespace storage {

void for_each_name(int fd, const std::function<bool(const std::string& name)>& visit) {
  base::UniqueFd copy = base::open_at(fd, ".", O_RDONLY | O_DIRECTORY);
  const base::CHandle<DIR, closedir> stream(fdopendir(copy.get()));
  if (!stream) base::throw_errno("list directory");
  static_cast<void>(copy.release());  // the stream's now
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (!visit(std::string(name))) return;
  }
  if (errno != 0) base::throw_errno("list directory");
}

void remove_whiteouts(int fd) {
  for_each_name(fd, [&](const std::string& name) {
    struct stat info = {};
    base::check(fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW), name);
    if (is_whiteout(info)) base::check(unlinkat(fd, name.c_str(), 0), name);
    return true;
  });
}

}  // namespace storage
