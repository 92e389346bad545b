#include "cli/registry/system_calls.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"

namespace cli {
namespace {

// Of no harm whatever their arguments are: they act on what the process has open or on itself.
constexpr int kAllowed[] = {
    // Descriptors that are open.
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    // Sockets.
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    // Memory, threads, signals of our own, time.
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(membarrier),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
};

using Filter = base::CHandle<void, seccomp_release>;

void allow(Filter& filter, int call, const std::vector<scmp_arg_cmp>& conditions = {}) {
  const int error =
      seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call,
                             static_cast<unsigned>(conditions.size()), conditions.data());
  // EDOM: this architecture has no such call, as arm64 has no open(2).
  if (error != 0 && error != -EDOM) base::throw_errno("seccomp filter", -error);
}

scmp_arg_cmp is(unsigned argument, scmp_datum_t value) {
  return {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}

scmp_arg_cmp has(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

void allow_opening_for_reading(Filter& filter) {
  constexpr scmp_datum_t kWriting =
      O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY);
  allow(filter, SCMP_SYS(open), {has(1, kWriting, O_RDONLY)});
  allow(filter, SCMP_SYS(openat), {has(2, kWriting, O_RDONLY)});
}

// To hosts; to the kernel for the list of our own addresses (getaddrinfo(3)); no Unix socket leads
// to another process but the pairs that libcurl makes for itself.
void allow_sockets(Filter& filter) {
  allow(filter, SCMP_SYS(socket), {is(0, AF_INET)});
  allow(filter, SCMP_SYS(socket), {is(0, AF_INET6)});
  allow(filter, SCMP_SYS(socket), {is(0, AF_NETLINK), is(2, NETLINK_ROUTE)});
  allow(filter, SCMP_SYS(socketpair), {is(0, AF_UNIX)});
  allow(filter, SCMP_SYS(ioctl), {is(1, FIONBIO)});
  allow(filter, SCMP_SYS(ioctl), {is(1, FIONREAD)});
}

void allow_memory_and_threads(Filter& filter) {
  // A thread, never a process or a namespace.
  allow(filter, SCMP_SYS(clone),
        {has(0, CLONE_THREAD | CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS, CLONE_THREAD | CLONE_VM)});
  // The resolver loads libraries; what is writable is never executed.
  constexpr scmp_datum_t kBoth = PROT_WRITE | PROT_EXEC;
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    allow(filter, call, {has(2, kBoth, 0)});
    allow(filter, call, {has(2, kBoth, PROT_WRITE)});
    allow(filter, call, {has(2, kBoth, PROT_EXEC)});
  }
  allow(filter, SCMP_SYS(prctl), {is(0, PR_SET_NAME)});
  allow(filter, SCMP_SYS(prlimit64), {is(0, 0), is(2, 0)});  // reading our own
  allow(filter, SCMP_SYS(tgkill), {is(0, static_cast<scmp_datum_t>(getpid())), is(2, SIGABRT)});
}

}  // namespace

void restrict_system_calls() {
  Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) throw base::Error(base::ErrorKind::kSystem, "seccomp filter: out of memory");
  for (const int call : kAllowed) allow(filter, call);
  allow_opening_for_reading(filter);
  allow_sockets(filter);
  allow_memory_and_threads(filter);
  // Its arguments are in memory, where a filter can't look; libc uses clone(2) where there is none.
  if (const int error = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
      error != 0) {
    base::throw_errno("seccomp filter", -error);
  }
  if (const int error = seccomp_load(filter.get()); error != 0) {
    base::throw_errno("seccomp filter", -error);
  }
}

}  // namespace cli
