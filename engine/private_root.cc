#include "engine/private_root.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr char kPlace[] =
    "/sys";  // a directory that every host has; only the child sees it mounted

struct Layers {
  std::vector<base::UniqueFd> lower;
  base::UniqueFd upper, work;
};

Layers open_layers(const storage::OverlayPlan& plan) {
  Layers layers;
  for (const auto& path : plan.lower) {
    layers.lower.push_back(base::open_file(path, O_PATH | O_DIRECTORY));
  }
  layers.upper = base::open_file(plan.upper, O_PATH | O_DIRECTORY);
  layers.work = base::open_file(plan.work, O_PATH | O_DIRECTORY);
  return layers;
}

// Named by their numbers, relative to /proc/self/fd: 500 of them fit into the page that mount(2)
// takes. An image can't steer the overlay (kernel, overlayfs.rst: redirect_dir, metacopy).
std::string render_options(const Layers& layers) {
  std::string text = "lowerdir=";
  for (std::size_t i = 0; i < layers.lower.size(); ++i) {
    text += (i == 0 ? "" : ":") + std::to_string(layers.lower[i].get());
  }
  return text + ",upperdir=" + std::to_string(layers.upper.get()) +
         ",workdir=" + std::to_string(layers.work.get()) +
         ",index=off,metacopy=off,redirect_dir=nofollow";
}

int set_read_only(int tree_fd, unsigned flags) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return static_cast<int>(syscall(SYS_mount_setattr, tree_fd, "", AT_EMPTY_PATH | flags,
                                  &attributes, sizeof attributes));
}

base::UniqueFd make_target(int root_fd, const std::string& path, bool directory) {
  if (auto found = base::find_in_root(root_fd, path, O_PATH)) return std::move(*found);
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  const base::UniqueFd parent = slash == 0 ? base::open_in_root(root_fd, "/", O_PATH | O_DIRECTORY)
                                           : make_target(root_fd, path.substr(0, slash), true);
  const int result = directory ? mkdirat(parent.get(), name.c_str(), 0755)
                               : mknodat(parent.get(), name.c_str(), S_IFREG | 0755, 0);
  if (result != 0 && errno != EEXIST) base::throw_errno("make " + path);
  return base::open_in_root(root_fd, path, O_PATH);
}

base::UniqueFd open_source(const PrivateBind& bind) {
  base::UniqueFd source = base::open_file(bind.source, O_PATH);
  if (bind.subpath.empty()) return source;
  return base::open_in_root(source.get(), bind.subpath, O_PATH);
}

void attach(int root_fd, const PrivateBind& bind) {
  const base::UniqueFd source = open_source(bind);
  const base::UniqueFd tree(
      static_cast<int>(base::check(syscall(SYS_open_tree, source.get(), "",
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                                               (bind.recursive ? AT_RECURSIVE : 0)),
                                   bind.source)));
  struct stat info = {};
  base::check(fstat(tree.get(), &info), bind.source);
  if (bind.readonly) base::check(set_read_only(tree.get(), AT_RECURSIVE), "read-only");
  const base::UniqueFd target = make_target(root_fd, bind.target, S_ISDIR(info.st_mode));
  base::check(syscall(SYS_move_mount, tree.get(), "", target.get(), "",
                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
              "mount " + bind.target);
}

base::UniqueFd mount_all(const PrivateRoot& plan) {
  base::check(unshare(CLONE_NEWNS), "unshare");
  base::check(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  // Opened only here: overlayfs takes no directory of another mount namespace's.
  const Layers layers = open_layers(plan.overlay);
  base::check(chdir("/proc/self/fd"), "/proc/self/fd");
  base::check(mount("overlay", kPlace, "overlay", MS_NODEV, render_options(layers).c_str()),
              "mount overlay");
  const base::UniqueFd root = base::open_file(kPlace, O_PATH | O_DIRECTORY);
  for (const PrivateBind& bind : plan.binds) attach(root.get(), bind);
  if (plan.readonly) base::check(set_read_only(root.get(), 0), "read-only");
  return base::UniqueFd(static_cast<int>(base::check(
      syscall(SYS_open_tree, AT_FDCWD, kPlace, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE),
      "open_tree")));
}

[[noreturn]] void work_in_child(const PrivateRoot& plan, int socket_fd) {
  try {
    const base::UniqueFd tree = mount_all(plan);
    _exit(base::send_with_descriptor(socket_fd, "t", tree.get()) < 0 ? 1 : 0);
  } catch (const std::exception& error) {
    const std::string text = std::string("e") + error.what();
    const ssize_t ignored = write(socket_fd, text.data(), text.size());
    static_cast<void>(ignored);
    _exit(1);
  }
}

}  // namespace

base::UniqueFd mount_private_root(const PrivateRoot& plan) {
  std::array<int, 2> pair = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), "socketpair");
  const base::UniqueFd ours(pair[0]);
  base::UniqueFd theirs(pair[1]);
  const pid_t child = fork();
  base::check(child, "fork");
  if (child == 0) work_in_child(plan, theirs.get());
  theirs.reset();
  base::UniqueFd tree;
  std::array<char, 1024> message = {};
  const ssize_t count = base::receive_with_descriptor(ours.get(), message, tree);
  base::wait_for_child(child);
  if (tree) return tree;
  throw base::Error(base::ErrorKind::kSystem,
                    count > 1 ? std::string(message.data() + 1, static_cast<std::size_t>(count - 1))
                              : "the container's files could not be mounted");
}

}  // namespace engine
