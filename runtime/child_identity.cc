// The child's identity: names, limits, user, capabilities, filter, and the program it will be.
#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/child_state.h"

namespace runtime {
namespace {

constexpr int kLastCapability = 63;

int control_process(int option, unsigned long second, unsigned long third = 0) noexcept {
  return as_int(call(SYS_prctl, option, second, third, 0UL, 0UL));
}

// See netdevice(7).
int set_up_loopback() noexcept {
  const int fd = static_cast<int>(call(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return -1;
  ifreq request = {};
  memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP;
  const int result = as_int(call(SYS_ioctl, fd, SIOCSIFFLAGS, &request));
  close_fd(fd);
  return result;
}

// Of the container's procfs, from before anything was mounted in it, or of one that is mounted
// nowhere: nothing of the image can stand in for a file there (CVE-2025-52881).
int open_sys(ChildState& child) noexcept {
  if (child.sys_fd >= 0) return 0;
  const int context_fd = static_cast<int>(call(SYS_fsopen, "proc", FSOPEN_CLOEXEC));
  if (context_fd < 0) return -1;
  int proc_fd = -1;
  if (call(SYS_fsconfig, context_fd, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    proc_fd = static_cast<int>(call(SYS_fsmount, context_fd, FSMOUNT_CLOEXEC,
                                    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  }
  close_fd(context_fd);
  if (proc_fd < 0) return -1;
  child.sys_fd = open_in(proc_fd, "sys", O_PATH | O_DIRECTORY, kInside);
  close_fd(proc_fd);
  return child.sys_fd < 0 ? -1 : 0;
}

int write_sysctl(ChildState& child, const Op& op) noexcept {
  if (open_sys(child) != 0) return -1;
  const int fd = open_in(child.sys_fd, op.target, O_WRONLY, kInside);
  if (fd < 0) return -1;
  const char* value = op.source == nullptr ? "" : op.source;
  const int result = as_int(call(SYS_write, fd, value, strlen(value)));
  close_fd(fd);
  return result;
}

int limit_resource(const Op& op) noexcept {
  struct Limit {
    uint64_t soft, hard;
  };
  const Limit limit = {op.value[0], op.value[1]};
  return as_int(call(SYS_prlimit64, 0, static_cast<unsigned>(op.number), &limit, nullptr));
}

// What a keyring has by default, and its owner may search it: else a later exec would not find it
// by its name but make another. See keyctl_setperm(3).
constexpr unsigned kKeyringPermissions = 0x3f1b0000;

// Kernels without keyrings have nothing to separate; a full quota is not worth a failed start.
int join_keyring(const Op& op) noexcept {
  const long result = call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, op.source);
  if (result < 0) return last_error != ENOSYS && last_error != EDQUOT ? -1 : 0;
  call(SYS_keyctl, KEYCTL_SETPERM, result, kKeyringPermissions);
  return 0;
}

// The working directory must lie below the root: one that was reached through a descriptor of the
// host's would not (CVE-2024-21626). See getcwd(2) for "(unreachable)".
int verify_working_dir() noexcept {
  char path[4096];
  path[0] = '\0';
  const long size = call(SYS_getcwd, path, sizeof path);
  if (size < 0) return last_error == ENAMETOOLONG || last_error == ERANGE ? 0 : -1;
  return path[0] == '/' ? 0 : fail(EXDEV);
}

int enter_working_dir(ChildState& child, const Op& op) noexcept {
  if (call(SYS_chdir, op.target) != 0) {
    if (last_error != EACCES) return -1;
    child.working_dir_pending = true;
    return 0;
  }
  return verify_working_dir();
}

int enter_working_dir_as_user(ChildState& child, const Op& op) noexcept {
  if (!child.working_dir_pending) return 0;
  return call(SYS_chdir, op.target) != 0 ? -1 : verify_working_dir();
}

int drop_bounding(const Op& op) noexcept {
  for (int capability = 0; capability <= kLastCapability; ++capability) {
    if (((op.number >> static_cast<unsigned>(capability)) & 1U) != 0) continue;
    if (control_process(PR_CAPBSET_DROP, static_cast<unsigned long>(capability)) == 0) continue;
    const int error = last_error;
    const long held =
        call(SYS_prctl, PR_CAPBSET_READ, static_cast<unsigned long>(capability), 0UL, 0UL, 0UL);
    if (held < 0) return 0;  // past the last one that this kernel knows
    if (held == 1) return fail(error);
  }
  return 0;
}

// By system call: libc's wrappers would look for the other threads of the parent.
int become_user(const ChildState& child, const Op& op) noexcept {
  if (control_process(PR_SET_KEEPCAPS, 1) != 0) return -1;
  const size_t count = op.data_size / sizeof(uint32_t);
  if (call(SYS_setgroups, count, op.data) != 0) {
    // A user namespace may refuse it for good; see user_namespaces(7), /proc/[pid]/setgroups.
    const bool tolerable = count == 0 && last_error == EPERM && (op.flags & kTolerant) != 0;
    if (!tolerable) return -1;
  }
  if (call(SYS_setresgid, op.gid, op.gid, op.gid) != 0) return -1;
  if (call(SYS_setresuid, op.uid, op.uid, op.uid) != 0) return -1;
  // A change of ids may make the process readable again; see PR_SET_DUMPABLE in prctl(2).
  return guard_memory(child);
}

int set_capabilities(const Op& op) noexcept {
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[2] = {};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(op.value[0] >> (32U * half));
    data[half].permitted = static_cast<uint32_t>(op.value[1] >> (32U * half));
    data[half].inheritable = static_cast<uint32_t>(op.value[2] >> (32U * half));
  }
  return as_int(call(SYS_capset, &header, &data[0]));
}

int set_ambient(const Op& op) noexcept {
  for (unsigned capability = 0; capability <= kLastCapability; ++capability) {
    if (((op.number >> capability) & 1U) == 0) continue;
    if (control_process(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability) != 0) return -1;
  }
  return 0;
}

// The first bytes, for the words that a failed execve needs: `#!` or an ELF header.
void keep_head(ChildState& child, const char* path) noexcept {
  child.detail_size = 0;
  child.detail_is_head = true;
  const long fd = call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return;  // may be executed but not read
  const long size = call(SYS_read, static_cast<int>(fd), child.detail, sizeof child.detail);
  if (size > 0) child.detail_size = static_cast<uint32_t>(size);
  close_fd(static_cast<int>(fd));
}

// 0 where it can be executed as far as modes tell, else last_error.
int inspect_program(const char* path) noexcept {
  struct stat info = {};
  if (call(SYS_newfstatat, AT_FDCWD, path, &info, 0) != 0) return last_error;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if (!S_ISREG(info.st_mode)) return EACCES;
  if (call(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) != 0) return last_error;
  return 0;
}

// As execvp(3) searches: what may not be executed is passed over but remembered.
int find_program(ChildState& child, const Op& op) noexcept {
  int best = ENOENT;
  for (const char* const* candidate = op.words; *candidate != nullptr; ++candidate) {
    const int error = inspect_program(*candidate);
    if (error == 0) {
      child.program = *candidate;
      keep_head(child, *candidate);
      return 0;
    }
    const bool only = op.words[1] == nullptr;
    if (only || (error != ENOENT && error != ENOTDIR && error != EISDIR)) best = error;
  }
  return fail(best);
}

int install_filter(ChildState& child, const Op& op) noexcept {
  sock_fprog program = {};
  program.len = static_cast<unsigned short>(op.data_size / sizeof(sock_filter));
  // The kernel only reads it; the pointer in its struct is not const.
  program.filter = static_cast<sock_filter*>(const_cast<void*>(op.data));
  const long result =
      call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<unsigned>(op.flags), &program);
  if (result < 0 || (op.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) return as_int(result);
  // The parent takes the descriptor out of us: sendmsg(2) could be what the filter waits for.
  Report report;
  report.kind = ReportKind::kListener;
  report.error = static_cast<int32_t>(result);
  if (send_report(child, report, -1) != 0) return -1;
  if (await_parent(child.plan->control_fd) != 0) return -1;
  close_fd(static_cast<int>(result));
  return 0;
}

// Closes what lies between those that are still needed: a container that waits for its start must
// not hold files, sockets or locks of its creator. What is kept closes at execve.
int close_rest(ChildState& child, const Op& op) noexcept {
  const ChildPlan& plan = *child.plan;
  unsigned next = static_cast<unsigned>(op.number);
  for (;;) {
    unsigned kept = ~0U;
    const int needed[] = {plan.control_fd, plan.gate_fd, plan.start_report_fd, plan.started_fd};
    for (const int fd : needed) {
      if (fd >= 0 && static_cast<unsigned>(fd) >= next && static_cast<unsigned>(fd) < kept) {
        kept = static_cast<unsigned>(fd);
      }
    }
    if (kept != next && call(SYS_close_range, next, kept == ~0U ? kept : kept - 1, 0U) != 0) {
      return -1;
    }
    if (kept == ~0U) break;
    next = kept + 1;
  }
  child.root_fd = child.null_fd = child.empty_fd = child.sys_fd = child.terminal_fd = -1;
  for (int fd = 3; fd < 3 + plan.preserved; ++fd) {
    if (call(SYS_fcntl, fd, F_SETFD, 0) < 0 && last_error != EBADF) return -1;
  }
  return 0;
}

}  // namespace

int run_identity_step(ChildState& child, const Op& op) noexcept {
  switch (op.kind) {
    case StepKind::kLoopback:
      return set_up_loopback();
    case StepKind::kHostname:
      return as_int(call(SYS_sethostname, op.source, strlen(op.source)));
    case StepKind::kDomainname:
      return as_int(call(SYS_setdomainname, op.source, strlen(op.source)));
    case StepKind::kSysctl:
      return write_sysctl(child, op);
    case StepKind::kRlimit:
      return limit_resource(op);
    case StepKind::kKeyring:
      return join_keyring(op);
    case StepKind::kCloseFds:
      return close_rest(child, op);
    case StepKind::kWorkingDir:
      return enter_working_dir(child, op);
    case StepKind::kWorkingDirUser:
      return enter_working_dir_as_user(child, op);
    case StepKind::kBounding:
      return drop_bounding(op);
    case StepKind::kUser:
      return become_user(child, op);
    case StepKind::kUmask:
      call(SYS_umask, op.mode);
      return 0;
    case StepKind::kNoNewPrivileges:
      return control_process(PR_SET_NO_NEW_PRIVS, 1);
    case StepKind::kCapabilities:
      return set_capabilities(op);
    case StepKind::kAmbient:
      return set_ambient(op);
    case StepKind::kParentDeath:
      return control_process(PR_SET_PDEATHSIG, op.number);
    case StepKind::kFindProgram:
      return find_program(child, op);
    case StepKind::kSeccomp:
      return install_filter(child, op);
    default:
      return fail(ENOSYS);
  }
}

}  // namespace runtime
