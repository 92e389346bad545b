// Attributes: owner, mode, times and extended attributes of one file, and the order in which they
// are put on it.
#pragma once

#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"
#include "storage/unpack/overlay_policy.h"

namespace storage {

struct Xattr {
  std::string name, value;
  friend bool operator==(const Xattr&, const Xattr&) = default;
};

struct Attributes {
  mode_t mode = 0755;  // permission bits only
  uid_t uid = 0;
  gid_t gid = 0;
  timespec atime = {}, mtime = {};
  std::vector<Xattr> xattrs;  // sorted by name
};

// Whether an image may set this attribute; the others would steer the overlay or the host's
// security modules rather than the container. `mode` tells the file's type.
bool is_allowed_xattr(std::string_view name, mode_t mode, const OverlayPolicy& policy);

// The root of a tree to be written, made ours and without a setgid bit (which a store's own parent
// may have given it): all that is made in it then is ours, too. Throws.
base::UniqueFd open_empty_tree(const std::filesystem::path& directory);

// The two put everything on a file made by us just now (so owned by our effective ids) in the only
// order that loses nothing: chown(2) drops setuid bits and capabilities, setxattr(2) needs no bits,
// writing times comes last. Attributes a file system can't keep are traced and left out. Throw.
void apply_attributes(int fd, const Attributes& attributes);
// For what can't be opened: symbolic links (their mode is fixed), devices and FIFOs. `file_type`:
// S_IFLNK, …
void apply_attributes_at(int dir_fd, const std::string& name, mode_t file_type,
                         const Attributes& attributes);

// Those of an existing file or directory that a copy of it must have; overlay's own are left out.
Attributes read_attributes(int fd, const OverlayPolicy& policy);

}  // namespace storage
