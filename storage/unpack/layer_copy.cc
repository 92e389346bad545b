// copy_with_fix_ups: the form of a layer that fits over particular lower layers.
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <map>
#include <optional>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "storage/unpack/fix_up.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/whiteout.h"

namespace storage {
namespace {

constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

struct stat stat_at(int dir_fd, const std::string& name) {
  struct stat info = {};
  base::check(fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW), base::printable(name));
  return info;
}

// Directories anew, everything else as another link to the same file. The tree is at most
// kMaxPathDepth deep.
void copy_tree(int from, int to, const OverlayPolicy& policy) {
  for_each_name(from, [&](const std::string& name) {
    if (!S_ISDIR(stat_at(from, name).st_mode)) {
      base::check(linkat(from, name.c_str(), to, name.c_str(), 0), base::printable(name));
      return true;
    }
    base::check(mkdirat(to, name.c_str(), 0700), base::printable(name));
    const base::UniqueFd child_from = base::open_at(from, name, kOpenFolder);
    const base::UniqueFd child_to = base::open_at(to, name, kOpenFolder);
    copy_tree(child_from.get(), child_to.get(), policy);
    return true;
  });
  char opaque = 0;
  if (fgetxattr(from, policy.opaque_xattr, &opaque, 1) == 1) {
    base::check(fsetxattr(to, policy.opaque_xattr, &opaque, 1, 0), policy.opaque_xattr);
  }
  apply_attributes(to, read_attributes(from, policy));
}

// A directory of the copy: our own, so no component is a link.
base::UniqueFd open_directory(int root, const LayerPath& path) {
  base::UniqueFd fd = base::open_at(root, ".", kOpenFolder);
  for (const std::string_view name : path) {
    fd = base::open_at(fd.get(), std::string(name), kOpenFolder);
  }
  return fd;
}

// Changes inside a finished directory: its times don't show them, and what is made there is ours as
// apply_attributes() wants it, not of the group that a setgid directory gives.
class Undisturbed {
 public:
  explicit Undisturbed(int fd) : fd_(fd) {
    base::check(fstat(fd, &info_), "stat");
    if (is_setgid()) base::check(fchmod(fd, info_.st_mode & 05777U), "chmod");
  }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;
  ~Undisturbed() {
    if (is_setgid()) fchmod(fd_, info_.st_mode & 07777U);
    const std::array<timespec, 2> times = {info_.st_atim, info_.st_mtim};
    futimens(fd_, times.data());
  }

 private:
  bool is_setgid() const { return (info_.st_mode & S_ISGID) != 0; }

  int fd_;
  struct stat info_ = {};
};

void copy_bytes(int from, int to, std::uint64_t size) {
  if (ioctl(to, FICLONE, from) == 0) return;  // btrfs, xfs: shares the blocks
  while (size > 0) {
    const ssize_t count = copy_file_range(from, nullptr, to, nullptr, size, 0);
    if (count < 0 && errno == EINTR) continue;
    if (base::check(count, "copy") == 0) return;
    size -= static_cast<std::uint64_t>(count);
  }
}

void copy_file(const FixUps::Link& link, const struct stat& info, int to, const std::string& name,
               const OverlayPolicy& policy) {
  const int from = link.source_dir.get();
  const std::string& source = link.source_name;
  Attributes attributes = {.mode = info.st_mode & 07777U,
                           .uid = info.st_uid,
                           .gid = info.st_gid,
                           .atime = info.st_atim,
                           .mtime = info.st_mtim,
                           .xattrs = {}};
  if (S_ISREG(info.st_mode)) {
    const base::UniqueFd file = base::open_at(from, source, O_RDONLY | O_NOFOLLOW);
    const base::UniqueFd made =
        base::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    copy_bytes(file.get(), made.get(), static_cast<std::uint64_t>(info.st_size));
    return apply_attributes(made.get(), read_attributes(file.get(), policy));
  }
  if (S_ISLNK(info.st_mode)) {
    std::string target(static_cast<std::size_t>(info.st_size) + 1, '\0');
    const ssize_t size = readlinkat(from, source.c_str(), target.data(), target.size());
    target.resize(static_cast<std::size_t>(base::check(size, "read link")));
    base::check(symlinkat(target.c_str(), to, name.c_str()), "create link");
  } else {
    base::check(mknodat(to, name.c_str(), (info.st_mode & S_IFMT) | 0600U, info.st_rdev),
                "create device");
  }
  apply_attributes_at(to, name, info.st_mode & S_IFMT, attributes);
}

// Links to one file of a lower layer become links to one copy of it.
class LinkCopies {
 public:
  LinkCopies(int root, const OverlayPolicy& policy) : root_(root), policy_(policy) {}

  void add(const FixUps::Link& link) {
    const LayerPath path = parse_layer_path(link.path);
    const std::string name(path.back());
    const base::UniqueFd parent = open_directory(root_, {path.begin(), path.end() - 1});
    const Undisturbed keep(parent.get());
    struct stat old = {};
    if (fstatat(parent.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && is_whiteout(old)) {
      base::check(unlinkat(parent.get(), name.c_str(), 0), base::printable(name));
    }
    const struct stat info = stat_at(link.source_dir.get(), link.source_name);
    const auto [first, is_new] = copies_.try_emplace({info.st_dev, info.st_ino}, link.path);
    if (is_new) return copy_file(link, info, parent.get(), name, policy_);
    const LayerPath copy = parse_layer_path(first->second);
    const base::UniqueFd copy_parent = open_directory(root_, {copy.begin(), copy.end() - 1});
    base::check(
        linkat(copy_parent.get(), std::string(copy.back()).c_str(), parent.get(), name.c_str(), 0),
        base::printable(name));
  }

 private:
  int root_;
  const OverlayPolicy& policy_;
  std::map<std::pair<dev_t, ino_t>, std::string> copies_;
};

void hide_lower_roots(int root, const FixUps& fix_ups, const OverlayPolicy& policy) {
  const Undisturbed keep(root);
  for (const std::string& name : fix_ups.opaque) {
    const base::UniqueFd fd = base::open_at(root, name, kOpenFolder);
    base::check(fsetxattr(fd.get(), policy.opaque_xattr, "y", 1, 0), policy.opaque_xattr);
  }
  for (const std::string& name : fix_ups.whiteouts) {
    base::check(mknodat(root, name.c_str(), S_IFCHR, makedev(0, 0)), base::printable(name));
  }
}

}  // namespace

void copy_with_fix_ups(const std::filesystem::path& layer, const FixUps& fix_ups,
                       const std::filesystem::path& copy, const OverlayPolicy& policy) {
  const base::UniqueFd from = base::open_file(layer, kOpenFolder);
  const base::UniqueFd root = open_empty_tree(copy);
  copy_tree(from.get(), root.get(), policy);
  LinkCopies copies(root.get(), policy);
  for (const FixUps::Link& link : fix_ups.links) {
    base::while_doing(base::printable(link.path), [&] { copies.add(link); });
  }
  hide_lower_roots(root.get(), fix_ups, policy);
  for (const std::string& path : fix_ups.unmerged) {
    const base::UniqueFd fd = open_directory(root.get(), parse_layer_path(path));
    const Undisturbed keep(fd.get());
    remove_whiteouts(fd.get());
  }
  for (const FixUps::Directory& directory : fix_ups.directories) {
    const base::UniqueFd fd = open_directory(root.get(), parse_layer_path(directory.path));
    base::while_doing(base::printable(directory.path),
                      [&] { apply_attributes(fd.get(), directory.attributes); });
  }
}

std::optional<LayerRecord> note_own_times(const std::filesystem::path& layer,
                                          const LayerRecord& record, const FixUps& fix_ups) {
  if (!record.own_times.empty()) return std::nullopt;
  LayerRecord noted = record;
  const base::UniqueFd root = base::open_file(layer, kOpenFolder);
  for (const FixUps::Directory& directory : fix_ups.directories) {
    const base::UniqueFd fd = open_directory(root.get(), parse_layer_path(directory.path));
    struct stat info = {};
    base::check(fstat(fd.get(), &info), base::printable(directory.path));
    noted.own_times.push_back({directory.path, info.st_mtim});
  }
  return noted;
}

void set_times(const std::filesystem::path& layer, const FixUps& fix_ups) {
  const base::UniqueFd root = base::open_file(layer, kOpenFolder);
  for (const FixUps::Directory& directory : fix_ups.directories) {
    const base::UniqueFd fd = open_directory(root.get(), parse_layer_path(directory.path));
    const std::array<timespec, 2> times = {directory.attributes.atime, directory.attributes.mtime};
    base::check(futimens(fd.get(), times.data()), base::printable(directory.path));
  }
}

}  // namespace storage
