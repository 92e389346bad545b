#include "engine/private_mount.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

int configure(int context, unsigned command, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, context, command, key, value, 0));
}

// fsconfig(2) with one `lowerdir+` a layer: Linux 6.8. nullopt-like: an empty descriptor where this
// kernel does not know the key.
base::UniqueFd mount_by_context(const std::vector<fs::path>& lower) {
  base::UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
  if (!context) return {};
  for (const fs::path& layer : lower) {
    if (configure(context.get(), FSCONFIG_SET_STRING, "lowerdir+", layer.c_str()) != 0) return {};
  }
  if (configure(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) != 0) return {};
  return base::UniqueFd(static_cast<int>(
      syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)));
}

// In the forked child. Layers are named by descriptor: 500 full paths would not fit into the one
// page that mount(2) takes.
[[noreturn]] void mount_in_child(const std::vector<base::UniqueFd>& layers, int socket_fd) {
  std::string data = "lowerdir=";
  for (std::size_t i = 0; i < layers.size(); ++i) {
    data += (i == 0 ? "" : ":") + ("/proc/self/fd/" + std::to_string(layers[i].get()));
  }
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("overlay", "/sys", "overlay", MS_RDONLY | MS_NODEV, data.c_str()) != 0) {
    _exit(errno);
  }
  const int tree = static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, "/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (tree < 0) _exit(errno);
  _exit(base::send_with_descriptor(socket_fd, "t", tree) < 0 ? errno : 0);
}

base::UniqueFd mount_by_child(const std::vector<fs::path>& lower) {
  std::vector<base::UniqueFd> layers;
  for (const fs::path& layer : lower) {
    layers.push_back(base::open_file(layer, O_PATH | O_DIRECTORY));
  }
  int pair[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
  base::UniqueFd ours(pair[0]);
  base::UniqueFd theirs(pair[1]);
  const pid_t child = fork();
  base::check(child, "fork");
  if (child == 0) mount_in_child(layers, theirs.get());
  theirs.reset();
  base::UniqueFd tree;
  std::array<char, 1> byte;
  base::receive_with_descriptor(ours.get(), byte, tree);
  const int code = base::wait_for_child(child);
  if (!tree) base::throw_errno("mount the image's layers", code == 0 ? EIO : code);
  return tree;
}

}  // namespace

base::UniqueFd mount_detached_overlay(const std::vector<fs::path>& lower) {
  base::UniqueFd tree = mount_by_context(lower);
  return tree ? std::move(tree) : mount_by_child(lower);
}

}  // namespace engine
