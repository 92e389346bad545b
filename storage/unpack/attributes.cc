#include "storage/unpack/attributes.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/trace.h"

namespace storage {
namespace {

// What the kernel or the file system says where it can't keep this attribute on this kind of file;
// docker and containerd go on too.
bool is_tolerable(int errno_value, const std::string& name) {
  if (errno_value == EOPNOTSUPP) return true;
  return errno_value == EPERM && name.starts_with("user.");
}

void check_xattr(int result, const Xattr& xattr) {
  if (result == 0) return;
  const std::string what = "set extended attribute " + base::printable(xattr.name);
  if (is_tolerable(errno, xattr.name)) {
    base::trace("storage", what + ": not supported here, left out");
    return;
  }
  // ext4 says ENOSPC where the attributes of one file outgrow their block: the disk is not full.
  if (errno == ENOSPC || errno == E2BIG || errno == ERANGE) {
    throw base::Error(base::ErrorKind::kUnsupported, what + ": too large for this file system");
  }
  // Capabilities and access lists have a form, which is the tar's affair and not this machine's.
  if (errno == EINVAL) throw base::Error(base::ErrorKind::kInvalid, what + ": no valid value");
  base::throw_errno(what);
}

bool is_ours_already(const Attributes& attributes) {
  static const uid_t our_uid = geteuid();
  static const gid_t our_gid = getegid();
  return attributes.uid == our_uid && attributes.gid == our_gid;
}

std::string read_xattr(int fd, const char* name) {
  std::string value;
  for (;;) {
    const ssize_t size = base::check(fgetxattr(fd, name, nullptr, 0), name);
    value.resize(static_cast<std::size_t>(size));
    const ssize_t count = fgetxattr(fd, name, value.data(), value.size());
    if (count < 0 && errno == ERANGE) continue;
    base::check(count, name);
    value.resize(static_cast<std::size_t>(count));
    return value;
  }
}

}  // namespace

bool is_allowed_xattr(std::string_view name, mode_t mode, const OverlayPolicy& policy) {
  if (name.starts_with(policy.xattr_prefix)) return false;
  if (name == "security.capability") return S_ISREG(mode);
  if (name == "system.posix_acl_access") return !S_ISLNK(mode);
  if (name == "system.posix_acl_default") return S_ISDIR(mode);
  // xattr(7): user attributes exist on regular files and directories only.
  return name.starts_with("user.") && name.size() > 5 && (S_ISREG(mode) || S_ISDIR(mode));
}

base::UniqueFd open_empty_tree(const std::filesystem::path& directory) {
  base::UniqueFd fd = base::open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  base::check(fchown(fd.get(), geteuid(), getegid()), "chown");
  base::check(fchmod(fd.get(), 0700), "chmod");
  return fd;
}

void apply_attributes(int fd, const Attributes& attributes) {
  if (!is_ours_already(attributes)) {
    base::check(fchown(fd, attributes.uid, attributes.gid), "chown");
  }
  for (const Xattr& xattr : attributes.xattrs) {
    check_xattr(fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0),
                xattr);
  }
  base::check(fchmod(fd, attributes.mode), "chmod");
  const std::array<timespec, 2> times = {attributes.atime, attributes.mtime};
  base::check(futimens(fd, times.data()), "set times");
}

void apply_attributes_at(int dir_fd, const std::string& name, mode_t file_type,
                         const Attributes& attributes) {
  if (!is_ours_already(attributes)) {
    base::check(fchownat(dir_fd, name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW),
                "chown");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(dir_fd) + "/" + name;
  for (const Xattr& xattr : attributes.xattrs) {
    check_xattr(
        lsetxattr(path.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0),
        xattr);
  }
  if (!S_ISLNK(file_type)) {  // nobody else can put a link here: the tree is not visible yet
    base::check(fchmodat(dir_fd, name.c_str(), attributes.mode, 0), "chmod");
  }
  const std::array<timespec, 2> times = {attributes.atime, attributes.mtime};
  base::check(utimensat(dir_fd, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), "set times");
}

Attributes read_attributes(int fd, const OverlayPolicy& policy) {
  struct stat info = {};
  base::check(fstat(fd, &info), "stat");
  Attributes attributes = {.mode = info.st_mode & 07777U,
                           .uid = info.st_uid,
                           .gid = info.st_gid,
                           .atime = info.st_atim,
                           .mtime = info.st_mtim,
                           .xattrs = {}};
  std::string names(65536, '\0');  // the most that listxattr(2) ever gives
  const ssize_t size = flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == EOPNOTSUPP) return attributes;
  names.resize(static_cast<std::size_t>(base::check(size, "list extended attributes")));
  for (std::size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (!is_allowed_xattr(name, info.st_mode, policy)) continue;
    attributes.xattrs.push_back({name, read_xattr(fd, name.c_str())});
  }
  std::sort(attributes.xattrs.begin(), attributes.xattrs.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  return attributes;
}

}  // namespace storage
