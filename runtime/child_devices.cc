// The child's devices: nodes and links below /dev, the terminal, standard streams.
#include <asm/ioctls.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

constexpr uint64_t kStrict = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
constexpr unsigned kUnixPtySlaveMajor = 136;

struct WindowSize {  // struct winsize of ioctl_tty(2)
  unsigned short rows, columns, x, y;
};

int status_of(int fd, struct stat& info) noexcept {
  return static_cast<int>(call(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH));
}

// The directory of a path and the name in it. It stays open for the next node, which is nearly
// always its neighbour.
int open_parent(ChildState& child, const char* path, const char*& name) noexcept {
  const char* const slash = strrchr(path, '/');
  if (slash == nullptr) return fail(EINVAL);
  name = slash + 1;
  const size_t length = static_cast<size_t>(slash - path);
  if (child.folder_fd >= 0 && length == child.folder_size &&
      memcmp(path, child.folder, length) == 0) {
    return child.folder_fd;
  }
  close_folder(child);
  char folder[4096];
  if (length >= sizeof folder) return fail(ENAMETOOLONG);
  memcpy(folder, path, length);
  folder[length] = '\0';
  child.folder_fd = open_target(child, length == 0 ? "/" : folder, true, kNoSymlinks);
  child.folder = path;
  child.folder_size = length;
  return child.folder_fd;
}

// Without CAP_MKNOD over the host, in a user namespace, the host's own node is bound.
int bind_device(int parent_fd, const char* name, const char* source) noexcept {
  if (call(SYS_mknodat, parent_fd, name, S_IFREG | 0666, 0U) != 0 && last_error != EEXIST)
    return -1;
  const int target_fd = open_in(parent_fd, name, O_PATH | O_NOFOLLOW, kStrict);
  if (target_fd < 0) return -1;
  const int mount_fd =
      static_cast<int>(call(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  const int result = mount_fd < 0 ? -1 : attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  return result;
}

// A node that was there before must be the wanted one.
int verify_device(int parent_fd, const char* name, const Op& op) noexcept {
  struct stat info = {};
  if (call(SYS_newfstatat, parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  const bool same = (info.st_mode & S_IFMT) == (op.mode & S_IFMT) &&
                    ((op.mode & S_IFMT) == S_IFIFO || info.st_rdev == op.device);
  return same ? 0 : fail(EEXIST);
}

int make_device(ChildState& child, const Op& op) noexcept {
  const char* name = nullptr;
  const int parent_fd = open_parent(child, op.target, name);
  if (parent_fd < 0) return -1;
  int result = static_cast<int>(
      call(SYS_mknodat, parent_fd, name, op.mode, static_cast<unsigned>(op.device)));
  if (result == 0 && (op.uid != 0 || op.gid != 0)) {
    result =
        static_cast<int>(call(SYS_fchownat, parent_fd, name, op.uid, op.gid, AT_SYMLINK_NOFOLLOW));
  } else if (result != 0 && last_error == EEXIST) {
    result = verify_device(parent_fd, name, op);
  } else if (result != 0 && last_error == EPERM && op.source != nullptr) {
    result = bind_device(parent_fd, name, op.source);
  }
  return result;
}

int make_link(ChildState& child, const Op& op) noexcept {
  const char* name = nullptr;
  const int parent_fd = open_parent(child, op.target, name);
  if (parent_fd < 0) return -1;
  int result = static_cast<int>(call(SYS_symlinkat, op.source, parent_fd, name));
  if (result != 0 && last_error == EEXIST) result = 0;  // the image's own
  return result;
}

bool is_on_devpts(int fd) noexcept {
  struct statfs info = {};
  return call(SYS_fstatfs, fd, &info) == 0 && info.f_type == DEVPTS_SUPER_MAGIC;
}

// Opens both ends of a pty in the container's own devpts. The node comes from an image at worst:
// what was opened is checked before it is used (CVE-2025-52565).
int open_pty(ChildState& child) noexcept {
  const int master_fd =
      open_in(child.root_fd, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, kStrict);
  if (master_fd < 0) return -1;
  struct stat info = {};
  if (status_of(master_fd, info) != 0 || !S_ISCHR(info.st_mode) || info.st_rdev != makedev(5, 2) ||
      !is_on_devpts(master_fd)) {
    return fail(ENODEV);
  }
  call(SYS_fcntl, master_fd, F_SETFL, O_RDWR);
  int unlocked = 0;
  if (call(SYS_ioctl, master_fd, TIOCSPTLCK, &unlocked) != 0) return -1;
  child.terminal_fd =
      static_cast<int>(call(SYS_ioctl, master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (child.terminal_fd < 0) return -1;
  if (status_of(child.terminal_fd, info) != 0 || !S_ISCHR(info.st_mode) ||
      major(info.st_rdev) != kUnixPtySlaveMajor || !is_on_devpts(child.terminal_fd)) {
    return fail(ENODEV);
  }
  return master_fd;
}

// /dev/console is the same terminal, bound from the descriptor.
int bind_console(const ChildState& child) noexcept {
  const int dev_fd = open_dev(child);
  if (dev_fd < 0) return -1;
  int result = 0;
  if (call(SYS_mknodat, dev_fd, "console", S_IFREG | 0600, 0U) != 0 && last_error != EEXIST)
    result = -1;
  const int target_fd = result == 0 ? open_in(dev_fd, "console", O_PATH | O_NOFOLLOW, kStrict) : -1;
  const int mount_fd = target_fd < 0
                           ? -1
                           : static_cast<int>(call(SYS_open_tree, child.terminal_fd, "",
                                                   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                                                       static_cast<unsigned>(AT_EMPTY_PATH)));
  result = mount_fd < 0 ? -1 : attach(mount_fd, target_fd);
  close_fd(mount_fd);
  close_fd(target_fd);
  close_fd(dev_fd);
  return result;
}

int open_terminal(ChildState& child, const Op& op) noexcept {
  const int master_fd = open_pty(child);
  if (master_fd < 0) return -1;
  if (op.number != 0) {
    const WindowSize size = {static_cast<unsigned short>(op.number >> 16U),
                             static_cast<unsigned short>(op.number & 0xffffU), 0, 0};
    if (call(SYS_ioctl, child.terminal_fd, TIOCSWINSZ, &size) != 0) return -1;
  }
  // The group stays the one that devpts gave it (gid=5).
  if (op.uid != 0 && call(SYS_fchown, child.terminal_fd, op.uid, ~0U) != 0) return -1;
  if ((op.flags & kMakeFile) != 0 && bind_console(child) != 0) return -1;
  Report report;
  report.kind = ReportKind::kTerminal;
  const int result = send_report(child, report, master_fd);
  close_fd(master_fd);
  return result;
}

// The container's own /dev/null where it is one: through the host's, root of the container could
// change the mode of the host's node.
int open_own_null(const ChildState& child) noexcept {
  const int dev_fd = open_dev(child);
  const int fd = dev_fd < 0 ? -1 : open_in(dev_fd, "null", O_PATH | O_NOFOLLOW, kStrict);
  struct stat info = {};
  const bool real =
      fd >= 0 && status_of(fd, info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  const int opened = real ? open_in(dev_fd, "null", O_RDWR | O_NOFOLLOW, kStrict) : -1;
  close_fd(fd);
  close_fd(dev_fd);
  return opened >= 0 ? opened : fail(ENODEV);
}

// A pipe belongs to whoever made it: give it to the user, so that /dev/stdout can be opened again.
void give_pipe(int fd, uint32_t uid) noexcept {
  struct stat info = {};
  if (uid == 0 || status_of(fd, info) != 0 || !S_ISFIFO(info.st_mode)) return;
  call(SYS_fchown, fd, uid, ~0U);
}

int connect_terminal(const ChildState& child) noexcept {
  for (int fd = 0; fd < 3; ++fd) {
    if (call(SYS_dup3, child.terminal_fd, fd, 0) < 0) return -1;
  }
  return 0;
}

int connect_streams(const ChildState& child, const Op& op) noexcept {
  if (child.terminal_fd >= 0) return connect_terminal(child);
  const ChildPlan& plan = *child.plan;
  // First out of each other's way: a wanted descriptor may itself be 0, 1 or 2.
  int moved[3] = {-1, -1, -1};
  for (int fd = 0; fd < 3; ++fd) {
    if (plan.stdio[fd] >= 0) {
      moved[fd] =
          static_cast<int>(call(SYS_fcntl, plan.stdio[fd], F_DUPFD_CLOEXEC, 3 + plan.preserved));
    } else {
      const int null_fd = open_own_null(child);
      if (null_fd < 0) return -1;
      moved[fd] = static_cast<int>(call(SYS_fcntl, null_fd, F_DUPFD_CLOEXEC, 3 + plan.preserved));
      close_fd(null_fd);
    }
    if (moved[fd] < 0) return -1;
    give_pipe(moved[fd], op.uid);
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (call(SYS_dup3, moved[fd], fd, 0) < 0) return -1;
    close_fd(moved[fd]);
  }
  return 0;
}

}  // namespace

void close_folder(ChildState& child) noexcept {
  close_fd(child.folder_fd);
  child.folder_fd = -1;
}

int open_dev(const ChildState& child) noexcept {
  return open_in(child.root_fd, "dev", O_PATH | O_DIRECTORY, kStrict);
}

int run_device_step(ChildState& child, const Op& op) noexcept {
  switch (op.kind) {
    case StepKind::kDevice:
      return make_device(child, op);
    case StepKind::kSymlink:
      return make_link(child, op);
    case StepKind::kTerminal:
      return open_terminal(child, op);
    case StepKind::kStdio:
      return connect_streams(child, op);
    case StepKind::kControllingTerminal:
      return static_cast<int>(call(SYS_ioctl, 0, TIOCSCTTY, 0UL));
    default:
      return fail(ENOSYS);
  }
}

}  // namespace runtime
