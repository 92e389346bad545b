// The child's settings that the kernel keeps for a process: scheduling, memory policy, personality,
// clocks, labels.
#include <linux/magic.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/vfs.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

constexpr int kIoPriorityOfProcess = 1;  // IOPRIO_WHO_PROCESS

// Of the host's procfs, before anything of the image is in sight; whatever else is mounted there
// would keep the text and change nothing (CVE-2019-16884).
int write_proc_file(const char* path, const char* text) noexcept {
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0));
  if (fd < 0) return -1;
  struct statfs info = {};
  int result = as_int(call(SYS_fstatfs, fd, &info));
  if (result == 0 && info.f_type != PROC_SUPER_MAGIC) result = fail(ENODEV);
  if (result == 0) result = as_int(call(SYS_write, fd, text, strlen(text)));
  close_fd(fd);
  return result;
}

int write_tolerantly(const Op& op) noexcept {
  if (write_proc_file(op.target, op.source) == 0) return 0;
  return (op.flags & kTolerant) != 0 && (last_error == EACCES || last_error == EPERM) ? 0 : -1;
}

// Offsets can be set only while nobody is inside, and clone3(2) would put us inside at once: so it
// is made for the children first and entered then. See time_namespaces(7).
int make_time_namespace(const Op& op) noexcept {
  if (call(SYS_unshare, static_cast<unsigned long>(kNewTime)) != 0) return -1;
  if (write_proc_file("/proc/self/timens_offsets", op.source) != 0) return -1;
  const int fd = static_cast<int>(
      call(SYS_openat, AT_FDCWD, "/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC, 0));
  if (fd < 0) return -1;
  const int result = as_int(call(SYS_setns, fd, kNewTime));
  close_fd(fd);
  return result;
}

}  // namespace

int run_settings_step(const Op& op) noexcept {
  switch (op.kind) {
    case StepKind::kTimeNamespace:
      return make_time_namespace(op);
    case StepKind::kProcFile:
      return write_tolerantly(op);
    case StepKind::kCpuAffinity:
      return as_int(call(SYS_sched_setaffinity, 0, op.data_size, op.data));
    case StepKind::kScheduler:
      return as_int(call(SYS_sched_setattr, 0, op.data, 0U));
    case StepKind::kIoPriority:
      return as_int(call(SYS_ioprio_set, kIoPriorityOfProcess, 0, op.number));
    case StepKind::kPersonality:
      return as_int(call(SYS_personality, op.number));
    case StepKind::kMemoryPolicy:
      // One more than the bits, of which the kernel takes one less; see set_mempolicy(2), BUGS.
      return as_int(call(SYS_set_mempolicy, op.number, op.data_size == 0 ? nullptr : op.data,
                         op.data_size == 0 ? 0UL : op.data_size * 8 + 1));
    default:
      return fail(ENOSYS);
  }
}

}  // namespace runtime
