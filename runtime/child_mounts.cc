// The child's mounts: every one is made detached and attached by descriptor, never by a path that
// the container's image could bend.
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own limit; see path_resolution(7)
constexpr int kDetach = 2;     // MNT_DETACH of <sys/mount.h>, which clashes with <linux/mount.h>
constexpr int kNewMounts = 0x20000;  // CLONE_NEWNS of <sched.h>, which clashes with <linux/sched.h>
constexpr uint64_t kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

uint64_t resolution(uint64_t flags) noexcept {
  return (flags & kNoSymlinks) != 0 ? kInRoot | RESOLVE_NO_SYMLINKS : kInRoot;
}

// A path that is walked component by component; `at` is how far it is known to exist.
struct Walk {
  char path[4096];
  size_t at = 0;
  int links = 0;
};

// Puts the text of a dangling link in the place of the component [begin, end).
int follow_dangling(Walk& walk, int parent_fd, const char* name, size_t begin,
                    size_t end) noexcept {
  if (++walk.links > kMaxLinks) return fail(ELOOP);
  char link[4096];
  link[0] = '\0';
  const long length = call(SYS_readlinkat, parent_fd, name, link, sizeof link);
  if (length < 0) return -1;
  const size_t size = static_cast<size_t>(length);
  const size_t rest = strlen(walk.path + end);
  const size_t keep = link[0] == '/' ? 0 : begin;
  if (keep + size + rest + 2 > sizeof walk.path) return fail(ENAMETOOLONG);
  memmove(walk.path + keep + size, walk.path + end, rest + 1);
  memcpy(walk.path + keep, link, size);
  walk.at = keep;
  return 0;
}

// Makes the component [begin, end) in its parent. 0: made, or a link was put in; -1: last_error.
int make_component(const ChildState& child, Walk& walk, size_t begin, size_t end, bool directory,
                   uint64_t flags) noexcept {
  char* const path = walk.path;
  const char after = path[end];
  const char before = path[begin];
  path[begin] = '\0';
  const int parent_fd =
      open_in(child.root_fd, begin == 0 ? "." : path, O_PATH | O_DIRECTORY, resolution(flags));
  path[begin] = before;
  if (parent_fd < 0) return -1;
  path[end] = '\0';
  const long made = directory ? call(SYS_mkdirat, parent_fd, path + begin, 0755)
                              : call(SYS_mknodat, parent_fd, path + begin, S_IFREG | 0644, 0U);
  char name[256];
  const size_t length = end - begin;
  if (length < sizeof name) memcpy(name, path + begin, length + 1);
  path[end] = after;
  int result = made == 0 ? 0 : -1;
  if (made != 0 && last_error == EEXIST) {
    // It exists and yet could not be opened: a link to nothing.
    if (length >= sizeof name) {
      result = fail(ENAMETOOLONG);
    } else if ((flags & kNoSymlinks) != 0) {
      result = fail(ELOOP);
    } else {
      result = follow_dangling(walk, parent_fd, name, begin, end);
    }
  } else if (made == 0) {
    walk.at = end;
  }
  close_fd(parent_fd);
  return result;
}

int make_target(const ChildState& child, const char* target, bool directory,
                uint64_t flags) noexcept {
  Walk walk;
  const size_t length = strlen(target);
  if (length + 1 > sizeof walk.path) return fail(ENAMETOOLONG);
  memcpy(walk.path, target, length + 1);
  for (;;) {
    size_t begin = walk.at;
    while (walk.path[begin] == '/') ++begin;
    size_t end = begin;
    while (walk.path[end] != '\0' && walk.path[end] != '/') ++end;
    if (begin == end) break;
    size_t tail = end;
    while (walk.path[tail] == '/') ++tail;
    const bool last = walk.path[tail] == '\0';
    const char after = walk.path[end];
    walk.path[end] = '\0';
    const int fd = open_in(child.root_fd, walk.path, O_PATH, resolution(flags));
    walk.path[end] = after;
    if (fd >= 0) {
      if (last) return fd;
      close_fd(fd);
      walk.at = end;
      continue;
    }
    if (last_error != ENOENT) return -1;
    if (make_component(child, walk, begin, end, directory || !last, flags) != 0) return -1;
  }
  return open_in(child.root_fd, walk.path[0] == '\0' ? "." : walk.path, O_PATH, resolution(flags));
}

// Nearly always only the last component is missing: made and opened below its parent. -1 where it
// is not as simple as that.
int make_last_component(const ChildState& child, const char* target, bool directory,
                        uint64_t flags) noexcept {
  const char* const slash = strrchr(target, '/');
  const size_t length = slash == nullptr ? 0 : static_cast<size_t>(slash - target);
  char parent[4096];
  if (length == 0 || length >= sizeof parent || slash[1] == '\0') return -1;
  memcpy(parent, target, length);
  parent[length] = '\0';
  const char* const name = slash + 1;
  const int parent_fd = open_in(child.root_fd, parent, O_PATH | O_DIRECTORY, resolution(flags));
  if (parent_fd < 0) return -1;
  const long made = directory ? call(SYS_mkdirat, parent_fd, name, 0755)
                              : call(SYS_mknodat, parent_fd, name, S_IFREG | 0644, 0U);
  const int fd = made != 0 ? -1
                           : open_in(parent_fd, name, O_PATH | O_NOFOLLOW,
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  close_fd(parent_fd);
  return fd;
}

bool is_directory(int fd) noexcept {
  struct stat info = {};
  return call(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH) == 0 && S_ISDIR(info.st_mode);
}

int set_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation,
                   unsigned flags) noexcept {
  if (set == 0 && clear == 0 && propagation == 0) return 0;
  mount_attr attributes = {};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  return static_cast<int>(
      call(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes));
}

// In a user namespace what the host's mount has set stays set, and taking it back is EPERM; which
// of its flags those are goes to the parent.
int keep_flags(ChildState& child, int fd) noexcept {
  const int saved = last_error;
  struct statfs info = {};
  if (saved == EPERM && call(SYS_fstatfs, fd, &info) == 0) {
    const uint64_t flags = static_cast<uint64_t>(info.f_flags);
    memcpy(child.detail, &flags, sizeof flags);
    child.detail_size = sizeof flags;
    child.detail_is_head = false;
  }
  return fail(saved);
}

int set_all_attributes(ChildState& child, int fd, const Op& op) noexcept {
  if (set_attributes(fd, op.recursive_set, op.recursive_clear, op.recursive_propagation,
                     AT_RECURSIVE) != 0 ||
      set_attributes(fd, op.attr_set, op.attr_clear, op.propagation, 0) != 0) {
    return keep_flags(child, fd);
  }
  return 0;
}

// The same for a mount with nothing below it, where one call does.
int set_attributes_of_one(ChildState& child, int fd, const Op& op) noexcept {
  if (op.propagation != 0 && op.recursive_propagation != 0) {
    return set_all_attributes(child, fd, op);
  }
  const uint64_t set = (op.recursive_set & ~op.attr_clear) | op.attr_set;
  const uint64_t clear = op.recursive_clear | op.attr_clear;
  const int result = set_attributes(fd, set, clear, op.propagation | op.recursive_propagation, 0);
  return result != 0 ? keep_flags(child, fd) : 0;
}

// What the file system itself says about the failure; see fsopen(2).
void keep_message(ChildState& child, int context_fd) noexcept {
  const int saved = last_error;
  const long size = call(SYS_read, context_fd, child.detail, sizeof child.detail);
  child.detail_size = size > 0 ? static_cast<uint32_t>(size) : 0;
  child.detail_is_head = false;
  last_error = saved;
}

int set_option(int context_fd, const char* key, const char* value) noexcept {
  if (value == nullptr) {
    return static_cast<int>(call(SYS_fsconfig, context_fd, FSCONFIG_SET_FLAG, key, nullptr, 0));
  }
  return static_cast<int>(call(SYS_fsconfig, context_fd, FSCONFIG_SET_STRING, key, value, 0));
}

// `words` holds keys and values in turn; a value that is "" stands for a key alone.
int configure(ChildState& child, int context_fd, const Op& op, const char* mode) noexcept {
  int failed = op.source == nullptr ? 0 : set_option(context_fd, "source", op.source);
  for (const char* const* word = op.words; failed == 0 && word != nullptr && *word != nullptr;
       word += 2) {
    failed = set_option(context_fd, word[0], word[1][0] == '\0' ? nullptr : word[1]);
  }
  if (failed == 0 && mode != nullptr) failed = set_option(context_fd, "mode", mode);
  if (failed == 0) {
    failed =
        static_cast<int>(call(SYS_fsconfig, context_fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  }
  if (failed != 0) keep_message(child, context_fd);
  return failed;
}

// A new, detached file system.
int make_file_system(ChildState& child, const Op& op, const char* type, const char* mode) noexcept {
  const int context_fd = static_cast<int>(call(SYS_fsopen, type, FSOPEN_CLOEXEC));
  if (context_fd < 0) return -1;
  int mount_fd = -1;
  if (configure(child, context_fd, op, mode) == 0) {
    mount_fd = static_cast<int>(call(SYS_fsmount, context_fd, FSMOUNT_CLOEXEC, op.attr_set));
    if (mount_fd < 0) keep_message(child, context_fd);
  }
  close_fd(context_fd);
  return mount_fd;
}

int clone_mount(int dir_fd, const char* path, bool recursive) noexcept {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                         (path[0] == '\0' ? static_cast<unsigned>(AT_EMPTY_PATH) : 0U) |
                         (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  return static_cast<int>(call(SYS_open_tree, dir_fd, path, flags));
}

int attach_root(ChildState& child, const Op& op, int mount_fd) noexcept {
  if (call(SYS_move_mount, mount_fd, "", AT_FDCWD, op.target,
           MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) != 0) {
    return -1;
  }
  child.root_fd = mount_fd;
  return 0;
}

// In a user namespace the host's parent has made it: only the host's root may read what an overlay
// keeps in extended attributes.
int mount_root_overlay(ChildState& child, const Op& op) noexcept {
  const int mount_fd = op.fd >= 0 ? op.fd : make_file_system(child, op, "overlay", nullptr);
  return mount_fd < 0 ? -1 : attach_root(child, op, mount_fd);
}

// For kernels before 6.8, whose fsconfig takes 255 bytes in all for the list of layers, and for
// longer paths: mount(2), whose 4096 bytes hold descriptors in the place of paths. `words` are
// the paths; the first becomes descriptor op.number, as the data string in `source` says.
int mount_root_overlay_classic(ChildState& child, const Op& op) noexcept {
  int number = static_cast<int>(op.number);
  for (const char* const* word = op.words; *word != nullptr; ++word, ++number) {
    const long fd = call(SYS_openat, AT_FDCWD, *word, O_PATH | O_CLOEXEC, 0);
    if (fd < 0 || call(SYS_dup3, fd, number, O_CLOEXEC) < 0) return -1;
    close_fd(static_cast<int>(fd));
  }
  const unsigned long flags = (op.flags & kReadOnlyRoot) != 0 ? MS_RDONLY : 0;
  if (call(SYS_mount, "overlay", op.target, "overlay", flags, op.source) != 0) return -1;
  while (--number >= static_cast<int>(op.number)) close_fd(number);
  child.root_fd =
      static_cast<int>(call(SYS_openat, AT_FDCWD, op.target, O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
  return child.root_fd < 0 ? -1 : 0;
}

int bind_root(ChildState& child, const Op& op) noexcept {
  const int mount_fd = op.fd >= 0 ? op.fd : clone_mount(AT_FDCWD, op.source, true);
  if (mount_fd < 0) return -1;
  if (!is_directory(mount_fd)) return fail(ENOTDIR);
  if (set_all_attributes(child, mount_fd, op) != 0) return -1;
  return attach_root(child, op, mount_fd);
}

// The mode of a directory as tmpfs takes it, in octal.
void print_mode(unsigned mode, char (&text)[8]) noexcept {
  for (int digit = 0; digit < 4; ++digit) {
    text[digit] = static_cast<char>('0' + ((mode >> (9 - 3 * digit)) & 7U));
  }
  text[4] = '\0';
}

bool has_word(const Op& op, const char* key) noexcept {
  for (const char* const* word = op.words; word != nullptr && *word != nullptr; word += 2) {
    if (strcmp(*word, key) == 0) return true;
  }
  return false;
}

int mount_file_system(ChildState& child, const Op& op) noexcept {
  const int target_fd = open_target(child, op.target, true, op.flags);
  if (target_fd < 0) return -1;
  // A tmpfs over a directory of the image looks like that directory: /tmp stays 1777.
  char mode[8] = {};
  struct stat info = {};
  const bool keep_mode = strcmp(op.type, "tmpfs") == 0 && !has_word(op, "mode") &&
                         call(SYS_newfstatat, target_fd, "", &info, AT_EMPTY_PATH) == 0;
  if (keep_mode) print_mode(info.st_mode & 07777U, mode);
  const int mount_fd = make_file_system(child, op, op.type, keep_mode ? mode : nullptr);
  int result = mount_fd < 0 ? -1 : 0;
  if (result == 0 && (op.propagation | op.recursive_propagation) != 0) {
    result = set_attributes(mount_fd, 0, 0, op.propagation | op.recursive_propagation, 0);
  }
  if (result == 0 && (op.flags & kCopyUp) != 0) result = copy_tree(target_fd, mount_fd);
  // Where there is none (subset=pid), kSysctl makes a procfs of its own.
  if ((op.flags & kKeepSys) != 0) {
    child.sys_fd = open_in(mount_fd, "sys", O_PATH | O_DIRECTORY, kInside);
  }
  if (result == 0) result = attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  return result;
}

int bind_mount(ChildState& child, const Op& op) noexcept {
  int mount_fd = op.fd;  // the parent's, with its ids mapped
  if (mount_fd < 0) {
    mount_fd = op.source == nullptr
                   ? child.shared_fds[op.number]
                   : clone_mount(AT_FDCWD, op.source, (op.flags & kRecursive) != 0);
  }
  if (mount_fd < 0) return -1;
  const int target_fd = open_target(child, op.target, is_directory(mount_fd), op.flags);
  int result = -1;
  if (target_fd >= 0) {
    const bool is_one = op.fd < 0 && op.source != nullptr && (op.flags & kRecursive) == 0;
    result = is_one ? set_attributes_of_one(child, mount_fd, op)
                    : set_all_attributes(child, mount_fd, op);
  }
  if (result == 0) result = attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  return result;
}

int open_shared(ChildState& child, const Op& op) noexcept {
  child.shared_fds[op.number] = clone_mount(AT_FDCWD, op.source, (op.flags & kRecursive) != 0);
  return child.shared_fds[op.number] < 0 ? -1 : 0;
}

int set_propagation(const Op& op) noexcept {
  mount_attr attributes = {};
  attributes.propagation = op.propagation;
  const unsigned flags = (op.flags & kRecursive) != 0 ? AT_RECURSIVE : 0;
  return static_cast<int>(
      call(SYS_mount_setattr, AT_FDCWD, op.target, flags, &attributes, sizeof attributes));
}

int change_mount(ChildState& child, const Op& op) noexcept {
  const int fd = open_in(child.root_fd, op.target, O_PATH, resolution(op.flags));
  if (fd < 0) return -1;
  const int result = set_all_attributes(child, fd, op);
  close_fd(fd);
  return result;
}

// New options for the file system that is mounted there; see fspick(2).
int remount(ChildState& child, const Op& op) noexcept {
  const int target_fd = open_in(child.root_fd, op.target, O_PATH, resolution(op.flags));
  if (target_fd < 0) return -1;
  const int context_fd =
      static_cast<int>(call(SYS_fspick, target_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
  close_fd(target_fd);
  if (context_fd < 0) return -1;
  int failed = 0;
  for (const char* const* word = op.words; failed == 0 && *word != nullptr; word += 2) {
    failed = set_option(context_fd, word[0], word[1][0] == '\0' ? nullptr : word[1]);
  }
  if (failed == 0) {
    failed = static_cast<int>(
        call(SYS_fsconfig, context_fd, FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0));
  }
  if (failed != 0) keep_message(child, context_fd);
  close_fd(context_fd);
  return failed;
}

// The host's /dev/null, which must be the real one: what is bound over a masked file decides what
// a reader of it gets (CVE-2025-31133).
int open_null(ChildState& child) noexcept {
  if (child.null_fd >= 0) return 0;
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "/dev/null", O_PATH | O_CLOEXEC, 0));
  if (fd < 0) return -1;
  struct stat info = {};
  if (call(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH) != 0) return -1;
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) return fail(ENODEV);
  child.null_fd = fd;
  return 0;
}

// Read-only, so that root of the container can't change the mode of the host's device by it.
int clone_null(ChildState& child) noexcept {
  if (open_null(child) != 0) return -1;
  const int fd = clone_mount(child.null_fd, "", false);
  if (fd < 0) return -1;
  if (set_attributes(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0, 0) != 0) {
    close_fd(fd);
    return -1;
  }
  return fd;
}

// The first masked directory gets a new tmpfs, the others clones of it.
int clone_empty(ChildState& child) noexcept {
  if (child.empty_fd >= 0) return clone_mount(child.empty_fd, "", false);
  static constexpr const char* kWords[] = {"size", "0k", "mode", "755", nullptr};
  Op op;
  op.words = kWords;
  op.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  child.empty_fd = make_file_system(child, op, "tmpfs", nullptr);
  return child.empty_fd < 0 ? -1 : static_cast<int>(call(SYS_dup, child.empty_fd));
}

bool is_missing(int error) noexcept { return error == ENOENT || error == ENOTDIR; }

int mask(ChildState& child, const Op& op) noexcept {
  const int target_fd = open_in(child.root_fd, op.target, O_PATH, kInRoot);
  if (target_fd < 0) return is_missing(last_error) ? 0 : -1;  // nothing to hide
  const int mount_fd = is_directory(target_fd) ? clone_empty(child) : clone_null(child);
  const int result = mount_fd < 0 ? -1 : attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  return result;
}

int make_read_only(const ChildState& child, const Op& op) noexcept {
  const int target_fd = open_in(child.root_fd, op.target, O_PATH, kInRoot);
  if (target_fd < 0) return is_missing(last_error) ? 0 : -1;
  const int mount_fd = clone_mount(target_fd, "", true);
  int result = mount_fd < 0 ? -1 : set_attributes(mount_fd, MOUNT_ATTR_RDONLY, 0, 0, AT_RECURSIVE);
  if (result == 0) result = attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  return result;
}

// Mounted over the host's root. What else is mounted there would stay within reach of a process
// that gets out of the chroot, so it is detached first.
int move_root(const Op& op) noexcept {
  if (call(SYS_mount, ".", "/", nullptr, MS_MOVE, nullptr) != 0) return -1;
  for (const char* const* point = op.words; *point != nullptr; ++point) {
    call(SYS_umount2, *point, kDetach);
  }
  if (call(SYS_chroot, ".") != 0) return -1;
  return static_cast<int>(call(SYS_chdir, "/"));
}

// Where the host's side is itself in a chroot, its root is not that of the mount namespace, but
// everybody who joins one (setns(2), CLONE_NEWNS) arrives at the namespace's: it must be the one
// that is pivoted away. Joining the namespace that one is in leads to its root.
int leave_chroot() noexcept {
  const int fd = static_cast<int>(
      call(SYS_openat, AT_FDCWD, "/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (fd < 0) return -1;
  const long joined = call(SYS_setns, fd, kNewMounts);
  close_fd(fd);
  return joined == 0 ? 0 : -1;
}

// See pivot_root(2), NOTES: the old root ends up on top of the new one and is detached there.
int pivot(ChildState& child, const Op& op) noexcept {
  if ((op.flags & kOfferRoot) != 0) {
    Report report;
    report.kind = ReportKind::kRoot;
    if (send_report(child, report, child.root_fd) != 0) return -1;
  }
  if (leave_chroot() != 0 || call(SYS_fchdir, child.root_fd) != 0) return -1;
  if ((op.flags & kMoveRoot) != 0) return move_root(op);
  if (call(SYS_pivot_root, ".", ".") != 0) return -1;
  if (call(SYS_umount2, ".", kDetach) != 0) return -1;
  return static_cast<int>(call(SYS_chdir, "/"));
}

int make_directory(const ChildState& child, const Op& op) noexcept {
  close_fd(open_target(child, op.target, true, op.flags));
  return 0;
}

}  // namespace

int open_target(const ChildState& child, const char* path, bool directory,
                uint64_t flags) noexcept {
  int fd = open_in(child.root_fd, path, O_PATH, resolution(flags));
  if (fd < 0 && last_error == ENOENT) {
    fd = make_last_component(child, path, directory, flags);
    if (fd < 0) fd = make_target(child, path, directory, flags);
  }
  if (fd >= 0 && directory != is_directory(fd)) {
    close_fd(fd);
    return fail(directory ? ENOTDIR : EISDIR);
  }
  return fd;
}

int attach(int mount_fd, int target_fd) noexcept {
  return static_cast<int>(call(SYS_move_mount, mount_fd, "", target_fd, "",
                               MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int run_mount_step(ChildState& child, const Op& op) noexcept {
  switch (op.kind) {
    case StepKind::kOpenShared:
      return open_shared(child, op);
    case StepKind::kPropagation:
      return set_propagation(op);
    case StepKind::kRootOverlay:
      return mount_root_overlay(child, op);
    case StepKind::kRootOverlayClassic:
      return mount_root_overlay_classic(child, op);
    case StepKind::kRootBind:
      return bind_root(child, op);
    case StepKind::kMount:
      return mount_file_system(child, op);
    case StepKind::kBind:
      return bind_mount(child, op);
    case StepKind::kSetAttributes:
      return change_mount(child, op);
    case StepKind::kRemount:
      return remount(child, op);
    case StepKind::kMakeDirectory:
      return make_directory(child, op);
    case StepKind::kMask:
      return mask(child, op);
    case StepKind::kReadonlyPath:
      return make_read_only(child, op);
    case StepKind::kPivot:
      return pivot(child, op);
    default:
      return fail(ENOSYS);
  }
}

}  // namespace runtime
