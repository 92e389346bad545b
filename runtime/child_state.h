// ChildState: what the steps of a child hand on to each other, and its system calls.
#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>

#include "runtime/child_call.h"
#include "runtime/child_plan.h"

namespace runtime {

struct ChildState {
  const ChildPlan* plan = nullptr;
  int root_fd = -1;      // the container's root directory, until and after the pivot
  int null_fd = -1;      // the host's /dev/null, O_PATH
  int empty_fd = -1;     // the read-only tmpfs that masks directories
  int sys_fd = -1;       // the directory sys of a procfs of our own, with nothing mounted in it
  int terminal_fd = -1;  // the pty's other end
  int folder_fd = -1;    // of the last device or link: the first folder_size bytes of `folder`
  const char* folder = nullptr;
  size_t folder_size = 0;
  int report_fd = -1;
  int shared_fds[kSharedSlots] = {};
  bool working_dir_pending = false;
  bool listening = false;         // the file system context below has words for us
  const char* program = nullptr;  // what kFindProgram chose
  bool detail_is_head = false;    // of the program: only for the words about its execve
  uint32_t detail_size = 0;
  char detail[sizeof(Report::detail)] = {};
};

inline int as_int(long result) noexcept { return result < 0 ? -1 : 0; }

inline int open_in(int dir_fd, const char* path, uint64_t flags, uint64_t resolve) noexcept {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  for (int attempt = 0;; ++attempt) {  // EAGAIN: a rename raced with ".."; see openat2(2)
    const long fd = call(SYS_openat2, dir_fd, path, &how, sizeof how);
    if (fd >= 0 || last_error != EAGAIN || attempt == 128) return static_cast<int>(fd);
  }
}

// Neither out of a directory nor by a link nor onto another mount.
inline constexpr uint64_t kInside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

inline void close_fd(int fd) noexcept {
  const int saved = last_error;
  if (fd >= 0) call(SYS_close, fd);
  last_error = saved;
}

inline int fail(int error) noexcept {
  last_error = error;
  return -1;
}

// The steps by file. 0, or -1 with last_error.
int run_mount_step(ChildState& child, const Op& op) noexcept;     // child_mounts.cc
int run_device_step(ChildState& child, const Op& op) noexcept;    // child_devices.cc
int run_identity_step(ChildState& child, const Op& op) noexcept;  // child_identity.cc
int run_settings_step(const Op& op) noexcept;                     // child_settings.cc

// An O_PATH descriptor of `path` as seen from the container's root, made where it is missing:
// a directory, or an empty file where `directory` is false. A dangling symbolic link is followed
// inside the root and what it names is made.
int open_target(const ChildState& child, const char* path, bool directory, uint64_t flags) noexcept;
int attach(int mount_fd, int target_fd) noexcept;
int open_dev(const ChildState& child) noexcept;  // the container's /dev, never through a link
void close_folder(ChildState& child) noexcept;   // what is mounted from now on may lie over it

// What the directory holds, below the root of a new mount; child_copy_up.cc.
int copy_tree(int source_fd, int mount_fd) noexcept;

// One byte from the parent; its end of file means that it died: nothing of us may remain.
int await_parent(int fd) noexcept;
// Whether others may look into us, as the plan has it; a change of ids changes it, too.
int guard_memory(const ChildState& child) noexcept;

// Sends a report, with a descriptor where fd is not -1.
int send_report(ChildState& child, const Report& report, int fd) noexcept;

}  // namespace runtime
