#include "runtime/hooks.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <limits>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "runtime/child_plan.h"
#include "runtime/setup.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

constexpr int kTimedOut = 254, kNotStarted = 255;
constexpr std::size_t kShownOutput = 4096;

UniqueFd memory_file(const std::string& content) {
  UniqueFd fd(base::check(memfd_create("hook", MFD_CLOEXEC), "memfd_create"));
  base::write_all(fd.get(), content);
  base::check(lseek(fd.get(), 0, SEEK_SET), "lseek");
  return fd;
}

// The exit code, or kTimedOut after killing it.
int wait_for_hook(pid_t pid, const oci::Hook& hook) {
  if (hook.timeout) {
    // Not by /proc, which inside the container may be of another pid namespace. Our own child's pid
    // is nobody else's until we wait for it.
    const UniqueFd process(
        static_cast<int>(base::check(syscall(SYS_pidfd_open, pid, 0), "pidfd_open")));
    const int seconds = std::min(*hook.timeout, std::numeric_limits<int>::max() / 1000);
    if (!base::wait_for_exit(process.get(), seconds * 1000)) {
      kill(pid, SIGKILL);
      base::wait_for_child(pid);
      return kTimedOut;
    }
  }
  return base::wait_for_child(pid);
}

int execute_hook(const oci::Hook& hook, int state_fd, int output_fd) {
  std::vector<std::string> arguments = hook.args;
  if (arguments.empty()) arguments.push_back(hook.path);
  const pid_t pid = base::spawn({.program = hook.path,
                                 .arguments = arguments,
                                 .environment = hook.env,
                                 .descriptors = {{.ours = state_fd, .theirs = 0},
                                                 {.ours = output_fd, .theirs = 1},
                                                 {.ours = output_fd, .theirs = 2}}});
  return wait_for_hook(pid, hook);
}

// A helper that joins the container first: its exit code is the hook's.
int execute_hook_inside(const oci::Hook& hook, int state_fd, int output_fd, const Record& record,
                        int pidfd) {
  const pid_t helper = base::check(fork(), "fork");
  if (helper != 0) return base::wait_for_child(helper);
  int code = kNotStarted;
  try {
    prctl(PR_SET_DUMPABLE, 0);
    int flags =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (record.has_user_namespace) flags |= CLONE_NEWUSER;
    if (record.has_time_namespace) flags |= static_cast<int>(kNewTime);
    if (record.has_user_namespace) {
      flags &= ~static_cast<int>(shared_namespaces(record.state.init.pid));
    }
    // Where we are in a chroot, so is the process until its pivot: in its namespace's copy of ours.
    // Joining alone would lead to that namespace's root.
    const UniqueFd root = base::open_file(
        "/proc/" + std::to_string(record.state.init.pid) + "/root", O_PATH | O_DIRECTORY);
    base::check(setns(pidfd, flags), "join the container's namespaces");
    base::check(fchdir(root.get()), "fchdir");
    base::check(chroot("."), "chroot");
    code = execute_hook(hook, state_fd, output_fd);
  } catch (const Error& error) {
    const std::string text = error.what();
    static_cast<void>(!write(output_fd, text.data(), text.size()));
  }
  _exit(code);
}

std::string tail_of(int output_fd) {
  if (lseek(output_fd, 0, SEEK_SET) != 0) return {};
  std::string output = base::read_fd(output_fd);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  if (output.size() > kShownOutput) output.erase(0, output.size() - kShownOutput);
  return output;
}

template <class Execute>
void run_each(const std::vector<oci::Hook>& hooks, const char* name, const State& state,
              Execute execute) {
  for (const oci::Hook& hook : hooks) {
    const std::string what = std::string(name) + " hook " + hook.path;
    const base::TraceStep step("runtime", what);
    base::while_doing(what, [&] {
      const UniqueFd state_fd = memory_file(render_state(state));
      const UniqueFd output_fd = memory_file("");
      const int code = execute(hook, state_fd.get(), output_fd.get());
      if (code == 0) return;
      const std::string output = tail_of(output_fd.get());
      const std::string reason = code == kTimedOut && hook.timeout
                                     ? "no end after " + std::to_string(*hook.timeout) + " s"
                                     : "exit code " + std::to_string(code);
      throw Error(ErrorKind::kSystem, reason + (output.empty() ? "" : ": " + output));
    });
  }
}

}  // namespace

void run_hooks(const std::vector<oci::Hook>& hooks, const char* name, const State& state) {
  run_each(hooks, name, state, execute_hook);
}

void run_hooks_inside(const std::vector<oci::Hook>& hooks, const char* name, const Record& record,
                      int pidfd) {
  run_each(hooks, name, record.state, [&](const oci::Hook& hook, int state_fd, int output_fd) {
    return execute_hook_inside(hook, state_fd, output_fd, record, pidfd);
  });
}

void run_late_hooks(const std::vector<oci::Hook>& hooks, const char* name,
                    const State& state) noexcept {
  for (const oci::Hook& hook : hooks) {
    try {
      run_hooks({hook}, name, state);
    } catch (const std::exception& error) {
      base::trace("runtime", std::string("warning: ") + error.what());
    }
  }
}

}  // namespace runtime
