#include "runtime/child.h"

#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/time_types.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

constexpr int kFailedExit = 127;

// The kernel's own struct sigaction, which differs from libc's; see rt_sigaction(2).
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

[[noreturn]] void leave(int code) noexcept {
  for (;;) call(SYS_exit_group, code);
}

[[noreturn]] void report_failure(ChildState& child, uint32_t step) noexcept {
  Report report;
  report.kind = ReportKind::kFailed;
  report.error = last_error;
  report.step = step;
  report.step_kind = child.plan->ops[step].kind;
  if (!child.detail_is_head || report.step_kind == StepKind::kExec) {
    report.size = child.detail_size;
    memcpy(report.detail, child.detail, child.detail_size);
  }
  send_report(child, report, -1);
  leave(kFailedExit);
}

// What was ignored in the parent stays ignored over execve, and so does its mask.
void reset_signals(uint64_t ignored) noexcept {
  const KernelSigaction standard = {};
  for (int signal = 1; ignored != 0; ++signal, ignored >>= 1U) {
    if ((ignored & 1U) == 0) continue;
    call(SYS_rt_sigaction, signal, &standard, nullptr, sizeof standard.mask);
  }
  const uint64_t none = 0;
  call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
}

int join_cgroup(const Op& op) noexcept {
  const int opened =
      op.fd >= 0 ? -1
                 : static_cast<int>(call(SYS_openat, AT_FDCWD, op.target, O_WRONLY | O_CLOEXEC, 0));
  const bool joined = call(SYS_write, op.fd >= 0 ? op.fd : opened, "0", 1UL) == 1;
  close_fd(opened);
  return joined ? 0 : -1;
}

int synchronise(ChildState& child, const Op& op) noexcept {
  if ((op.flags & kUnasked) != 0) return await_parent(child.plan->control_fd);
  Report report;
  report.kind = ReportKind::kSync;
  report.error = static_cast<int32_t>(op.number);
  if (send_report(child, report, -1) != 0) return -1;
  return await_parent(child.plan->control_fd);
}

int open_root(ChildState& child) noexcept {
  child.root_fd =
      static_cast<int>(call(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
  return child.root_fd < 0 ? -1 : 0;
}

int become_namespace_root(const ChildState& child) noexcept {
  if (call(SYS_setresgid, 0, 0, 0) != 0 || call(SYS_setresuid, 0, 0, 0) != 0) return -1;
  return guard_memory(child);
}

int wait_at_gate(ChildState& child) noexcept {
  const ChildPlan& plan = *child.plan;
  if (plan.started_fd >= 0) {  // our parent has said so long ago, if it lives
    if (await_parent(plan.control_fd) != 0) return -1;
    return static_cast<int>(call(SYS_ftruncate, plan.started_fd, 0L));
  }
  Report report;
  report.kind = ReportKind::kReady;
  if (send_report(child, report, -1) != 0) return -1;
  if (await_parent(plan.control_fd) != 0) return -1;
  if (plan.gate_fd < 0) return 0;
  // Only now is our name on record. The process that created us may go; the one that starts us
  // listens elsewhere.
  child.report_fd = plan.start_report_fd;
  return await_parent(plan.gate_fd);
}

// Until here the caller was not in the container's process namespace, so nobody inside could reach
// it while it still held what the host gave it (CVE-2016-9962). The new process holds nothing but
// what the container's own have, and is a child of our parent: the exit code is its.
int enter_pid_namespace(ChildState& child, const Op& op) noexcept {
  const long pid = call(SYS_clone, static_cast<unsigned long>(CLONE_PARENT | SIGCHLD) | op.flags,
                        0UL, 0UL, 0UL, 0UL);
  if (pid < 0) return -1;
  if (pid == 0) return 0;
  Report report;
  report.kind = ReportKind::kProcess;
  report.error = static_cast<int32_t>(pid);
  send_report(child, report, -1);
  leave(0);
}

int execute(const ChildState& child) noexcept {
  return static_cast<int>(call(SYS_execve, child.program, child.plan->argv, child.plan->envp));
}

int run_step(ChildState& child, const Op& op) noexcept {
  if (op.kind != StepKind::kDevice && op.kind != StepKind::kSymlink) close_folder(child);
  switch (op.kind) {
    case StepKind::kJoinCgroup:
      return join_cgroup(op);
    case StepKind::kSetNamespace:
      return static_cast<int>(call(SYS_setns, op.fd, static_cast<unsigned>(op.flags)));
    case StepKind::kUnshare:
      return static_cast<int>(call(SYS_unshare, op.flags));
    case StepKind::kOpenRoot:
      return open_root(child);
    case StepKind::kSync:
      return synchronise(child, op);
    case StepKind::kNamespaceRoot:
      return become_namespace_root(child);
    case StepKind::kSession:
      return call(SYS_setsid) < 0 ? -1 : 0;
    case StepKind::kGate:
      return wait_at_gate(child);
    case StepKind::kEnterPidNamespace:
      return enter_pid_namespace(child, op);
    case StepKind::kExec:
      return execute(child);
    case StepKind::kDevice:
    case StepKind::kSymlink:
    case StepKind::kTerminal:
    case StepKind::kControllingTerminal:
    case StepKind::kStdio:
      return run_device_step(child, op);
    case StepKind::kTimeNamespace:
    case StepKind::kProcFile:
    case StepKind::kCpuAffinity:
    case StepKind::kScheduler:
    case StepKind::kIoPriority:
    case StepKind::kPersonality:
    case StepKind::kMemoryPolicy:
      return run_settings_step(op);
    case StepKind::kOpenShared:
    case StepKind::kPropagation:
    case StepKind::kRootOverlay:
    case StepKind::kRootOverlayClassic:
    case StepKind::kRootBind:
    case StepKind::kMount:
    case StepKind::kBind:
    case StepKind::kSetAttributes:
    case StepKind::kRemount:
    case StepKind::kMakeDirectory:
    case StepKind::kMask:
    case StepKind::kReadonlyPath:
    case StepKind::kPivot:
      return run_mount_step(child, op);
    default:
      return run_identity_step(child, op);
  }
}

uint64_t monotonic_now() noexcept {
  __kernel_timespec time = {};
  call(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000U + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

int await_parent(int fd) noexcept {
  char byte = 0;
  for (;;) {
    const long count = call(SYS_read, fd, &byte, 1UL);
    if (count == 1) return 0;
    if (count == 0) leave(kFailedExit);
    if (last_error != EINTR) return -1;
  }
}

int guard_memory(const ChildState& child) noexcept {
  const unsigned long dumpable = child.plan->stays_dumpable ? 1 : 0;
  return static_cast<int>(call(SYS_prctl, PR_SET_DUMPABLE, dumpable, 0UL, 0UL, 0UL));
}

int send_report(ChildState& child, const Report& report, int fd) noexcept {
  const size_t size = offsetof(Report, detail) + report.size;
  if (fd < 0) return call(SYS_write, child.report_fd, &report, size) < 0 ? -1 : 0;
  iovec part = {const_cast<Report*>(&report), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return call(SYS_sendmsg, child.report_fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

void run_child(const ChildPlan& plan) noexcept {
  ChildState child;
  child.plan = &plan;
  child.report_fd = plan.control_fd;
  for (int& fd : child.shared_fds) fd = -1;
  // Nobody in a namespace that we enter may look into us before we are the container's program.
  guard_memory(child);
  close_fd(plan.parent_fd);
  reset_signals(plan.ignored_signals);
  call(SYS_umask, 0U);
  uint64_t before = plan.timings != nullptr ? monotonic_now() : 0;
  for (uint32_t step = 0; step < plan.count; ++step) {
    const Op& op = plan.ops[step];
    if (run_step(child, op) != 0) report_failure(child, step);
    if (plan.timings != nullptr) {
      const uint64_t now = monotonic_now();
      plan.timings[step] = now - before;
      before = now;
    }
  }
  leave(kFailedExit);
}

}  // namespace runtime
