// Processes: identities that survive id reuse, helper programs, and a read-only view of our own
// binary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"

namespace base {

// A process as written to disk: a pid alone may be somebody else's by the time it is read.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot: field 22 of /proc/<pid>/stat, proc(5)
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

// The identity of a live process; nullopt where there is none. A zombie counts as live.
std::optional<ProcessId> find_process(pid_t pid);

// A pidfd of exactly that process; nullopt where it is gone or the pid belongs to another.
std::optional<UniqueFd> open_process(const ProcessId& id);

// Whether that process has ended (a zombie has): the pidfd polls readable.
bool has_exited(int pidfd);

// Waits up to `milliseconds` (-1: for ever) for the process to end; false on time-out.
bool wait_for_exit(int pidfd, int milliseconds);

// pidfd_send_signal(2); false where the process is gone. Throws on any other failure.
bool send_signal(int pidfd, int signal);

// /proc/sys/kernel/random/boot_id, without the newline.
std::string boot_id();

// Our own executable behind a detached read-only mount (open_tree(2), mount_setattr(2)). A process
// started from it shows /proc/<pid>/exe on a mount that refuses writing, so a container that
// reaches it can't overwrite the program (CVE-2019-5736). Needs CAP_SYS_ADMIN; where the kernel
// refuses, the plain file.
UniqueFd open_self_read_only();

// How spawn() maps a descriptor: `ours` becomes `theirs` in the new process.
struct DescriptorMap {
  int ours = -1;
  int theirs = -1;
};

struct SpawnOptions {
  int program_fd = -1;  // executed by descriptor; -1: `program` is a path
  std::string program;
  std::vector<std::string> arguments;                   // argv, [0] included
  std::optional<std::vector<std::string>> environment;  // none: ours
  std::vector<DescriptorMap>
      descriptors;  // all others, 0 to 2 included, are closed; -1 as `ours`: /dev/null
  bool new_session = false;
};

// Starts a program by vfork(2) and execveat(2): no copy of our memory. Signal mask emptied,
// dispositions reset. Returns the child's pid; throws where it could not be executed.
pid_t spawn(const SpawnOptions& options);

// waitpid(2) for one child: its exit code, or 128 + the signal that ended it.
int wait_for_child(pid_t pid);

}  // namespace base
