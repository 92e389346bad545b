// Whiteouts as overlayfs wants them on disk: character devices 0/0 (kernel,
// Documentation/filesystems/overlayfs.rst).
#pragma once

#include <functional>
#include <string>
#include <sys/stat.h>

namespace storage {

inline bool is_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

// Calls `visit` for each name in the directory that `fd` (O_PATH will do) has open; it may unlink
// that name. Stops where it answers false. Throws.
void for_each_name(int fd, const std::function<bool(const std::string& name)>& visit);

// Removes the whiteouts that stand directly in the directory: in one that is merged with nothing
// overlayfs would list them as files. Throws.
void remove_whiteouts(int fd);

}  // namespace storage
