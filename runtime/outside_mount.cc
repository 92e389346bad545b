#include "runtime/outside_mount.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"

namespace runtime {
namespace {

using base::UniqueFd;

unsigned clone_flags(bool recursive) {
  return OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
         (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
}

UniqueFd clone_subpath(const Step& bind, bool recursive) {
  const UniqueFd root = base::open_file(bind.source, O_PATH | O_DIRECTORY);
  const UniqueFd place = base::open_in_root(root.get(), bind.subpath, O_PATH);
  return UniqueFd(static_cast<int>(
      base::check(syscall(SYS_open_tree, place.get(), "", clone_flags(recursive) | AT_EMPTY_PATH),
                  bind.source + "/" + bind.subpath)));
}

// Only a process of that namespace may clone its mounts. Ours shares the table of descriptors with
// us and nothing else, and tells the number.
UniqueFd clone_in_namespace(const Step& bind, bool recursive) {
  const UniqueFd mounts = base::open_file(bind.mount_namespace, O_RDONLY);
  std::array<int, 2> ends = {-1, -1};
  base::check(pipe2(ends.data(), O_CLOEXEC), "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    long result = setns(mounts.get(), CLONE_NEWNS);
    if (result == 0) {
      result = syscall(SYS_open_tree, AT_FDCWD, bind.source.c_str(),
                       clone_flags(recursive) | AT_SYMLINK_NOFOLLOW);
    }
    const int answer = result < 0 ? -errno : static_cast<int>(result);
    _exit(write(writer.get(), &answer, sizeof answer) == sizeof answer ? 0 : 1);
  }
  base::check(pid, "clone");
  int answer = -EIO;
  // The child ends by itself, whatever happens: there is nothing in it that waits.
  int status = 0;
  while (waitpid(static_cast<pid_t>(pid), &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0 && read(reader.get(), &answer, sizeof answer) != sizeof answer) answer = -EIO;
  if (answer >= 0) return UniqueFd(answer);
  errno = -answer;
  base::throw_errno(bind.source + " of " + bind.mount_namespace);
}

void set_mount_word(int context_fd, const std::string& key, const std::string& value,
                    const std::string& type) {
  const long result =
      value.empty()
          ? syscall(SYS_fsconfig, context_fd, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
          : syscall(SYS_fsconfig, context_fd, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
  base::check(result, type + " option " + key);
}

}  // namespace

UniqueFd clone_outside(const Step& bind, bool recursive) {
  return bind.mount_namespace.empty() ? clone_subpath(bind, recursive)
                                      : clone_in_namespace(bind, recursive);
}

UniqueFd mount_for_child(const Step& step) {
  return base::while_doing("mount " + step.type + " on " + step.target, [&] {
    const UniqueFd context(static_cast<int>(base::check(
        syscall(SYS_fsopen, step.type.c_str(), FSOPEN_CLOEXEC), "fsopen " + step.type)));
    set_mount_word(context.get(), "source", step.source, step.type);
    for (std::size_t i = 0; i + 1 < step.words.size(); i += 2) {
      set_mount_word(context.get(), step.words[i], step.words[i + 1], step.type);
    }
    base::check(syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0),
                step.source);
    return UniqueFd(static_cast<int>(base::check(
        syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, step.attr_set), "fsmount")));
  });
}

}  // namespace runtime
