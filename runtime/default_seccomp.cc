#include "runtime/default_seccomp.h"

#include <cerrno>
#include <sys/socket.h>

namespace runtime {
namespace {

// What any program may call. Everything here works on what a process owns already, or is checked by
// the kernel against its capabilities and namespaces. Left out on purpose: io_uring (its rings go
// around this filter), keyrings (not namespaced), userfaultfd, swap, modules, clocks, nfs.

constexpr std::string_view kFiles =
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown "
    "fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 "
    "fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32 link "
    "linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat "
    "open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 "
    "statfs "
    "statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask "
    "unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev "
    "cachestat listmount statmount";

constexpr std::string_view kExtendedAttributes =
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr "
    "listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat";

constexpr std::string_view kWaiting =
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
    "epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "io_setup "
    "io_submit _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
    "signalfd signalfd4";

constexpr std::string_view kSockets =
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall "
    "socketpair";

constexpr std::string_view kMemory =
    "brk get_thread_area madvise map_shadow_stack membarrier memfd_create memfd_secret mincore "
    "mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap "
    "pkey_alloc pkey_free pkey_mprotect remap_file_pages set_thread_area";

constexpr std::string_view kProcesses =
    "execve execveat exit exit_group fork getpgid getpgrp getpid getppid "
    "getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set kill pause pidfd_open "
    "pidfd_send_signal prctl prlimit64 process_mrelease rseq sched_getaffinity sched_getattr "
    "sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr "
    "sched_setparam sched_setscheduler sched_yield setpgid setpriority setrlimit setsid "
    "set_tid_address tgkill times tkill ugetrlimit vfork wait4 waitid waitpid uretprobe";

constexpr std::string_view kSignals =
    "restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack "
    "sigprocmask "
    "sigreturn";

constexpr std::string_view kIdentity =
    "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 "
    "getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid "
    "setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 "
    "setresuid setresuid32 setreuid setreuid32 setuid setuid32";

constexpr std::string_view kSynchronisation =
    "futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list ipc "
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 set_robust_list shmat shmctl shmdt shmget";

constexpr std::string_view kTime =
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep "
    "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64";

constexpr std::string_view kSystem =
    "getcpu getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self "
    "riscv_hwprobe seccomp sysinfo uname";

constexpr std::string_view kWithSysAdmin =
    "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
    "lsm_get_self_attr "
    "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open "
    "quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare";

// CLONE_NEWNS | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWCGROUP: none of them in the flags.
constexpr std::uint64_t kNewNamespaces = 0x7e020000;

constexpr DefaultSeccompRule when_equal(std::string_view call, std::uint64_t value) {
  return {.calls = call, .argument_op = "SCMP_CMP_EQ", .argument_value = value};
}

constexpr DefaultSeccompRule with(std::string_view capability, std::string_view calls) {
  return {.calls = calls, .with_capability = capability};
}

constexpr DefaultSeccompRule kRules[] = {
    {.calls = kFiles},
    {.calls = kExtendedAttributes},
    {.calls = kWaiting},
    {.calls = kSockets},
    {.calls = kMemory},
    {.calls = kProcesses},
    {.calls = kSignals},
    {.calls = kIdentity},
    {.calls = kSynchronisation},
    {.calls = kTime},
    {.calls = kSystem},
    // Since Linux 4.8 a tracer can't get around a filter any more.
    {.calls = "process_vm_readv process_vm_writev ptrace"},

    // Address families by number, so that what a kernel adds later stays out. Not among them:
    // DECnet (12), Econet (19), ATM (20), IrDA (23), WANPIPE (25), IUCV (34), CAIF (37), ALG (38)
    // and VSOCK (40), which reaches the hypervisor.
    {.calls = "socket", .argument_op = "SCMP_CMP_LT", .argument_value = AF_DECnet},
    when_equal("socket", AF_NETBEUI),
    when_equal("socket", AF_SECURITY),
    when_equal("socket", AF_KEY),
    when_equal("socket", AF_NETLINK),
    when_equal("socket", AF_PACKET),
    when_equal("socket", AF_ASH),
    when_equal("socket", AF_RDS),
    when_equal("socket", AF_SNA),
    when_equal("socket", AF_PPPOX),
    when_equal("socket", AF_LLC),
    when_equal("socket", AF_IB),
    when_equal("socket", AF_MPLS),
    when_equal("socket", AF_CAN),
    when_equal("socket", AF_TIPC),
    when_equal("socket", AF_BLUETOOTH),
    when_equal("socket", AF_IUCV),
    when_equal("socket", AF_RXRPC),
    when_equal("socket", AF_PHONET),
    when_equal("socket", AF_IEEE802154),
    when_equal("socket", AF_NFC),
    when_equal("socket", AF_KCM),
    when_equal("socket", AF_QIPCRTR),
    when_equal("socket", AF_SMC),
    when_equal("socket", AF_XDP),
    when_equal("socket", 45),  // MCTP

    when_equal("personality", 0),           // PER_LINUX
    when_equal("personality", 8),           // PER_LINUX32
    when_equal("personality", 0x20000),     // UNAME26
    when_equal("personality", 0x20008),     // both
    when_equal("personality", 0xffffffff),  // asks only

    {.calls = "sync_file_range2 swapcontext", .on = "ppc64le"},
    {.calls = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
     .on = "arm arm64"},
    {.calls = "arch_prctl", .on = "amd64 x32"},
    {.calls = "modify_ldt", .on = "amd64 x32 x86"},
    {.calls = "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", .on = "s390 s390x"},
    {.calls = "riscv_flush_icache", .on = "riscv64"},

    with("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    with("CAP_SYS_ADMIN", kWithSysAdmin),
    with("CAP_SYS_BOOT", "reboot"),
    with("CAP_SYS_CHROOT", "chroot"),
    with("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    with("CAP_SYS_PACCT", "acct"),
    with("CAP_SYS_PTRACE",
         "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    with("CAP_SYS_RAWIO", "iopl ioperm"),
    with("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    with("CAP_SYS_TTY_CONFIG", "vhangup"),
    with("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    with("CAP_SYSLOG", "syslog"),
    with("CAP_BPF", "bpf"),
    with("CAP_PERFMON", "perf_event_open"),

    {.calls = "clone",
     .without_capability = "CAP_SYS_ADMIN",
     .not_on = "s390 s390x",
     .argument_op = "SCMP_CMP_MASKED_EQ",
     .argument_value = kNewNamespaces},
    {.calls = "clone",  // there the flags are the second argument
     .without_capability = "CAP_SYS_ADMIN",
     .on = "s390 s390x",
     .argument_op = "SCMP_CMP_MASKED_EQ",
     .argument_index = 1,
     .argument_value = kNewNamespaces},
    // Its flags are in memory, where a filter can't look: libc falls back to clone on ENOSYS.
    {.calls = "clone3", .without_capability = "CAP_SYS_ADMIN", .errno_value = ENOSYS},
};

}  // namespace

std::span<const DefaultSeccompRule> default_seccomp_rules() { return kRules; }

std::string_view go_architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__i386__)
  return "x86";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__arm__)
  return "arm";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#elif defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#elif defined(__loongarch64)
  return "loong64";
#else
  return "unknown";
#endif
}

std::vector<std::string> default_seccomp_architectures() {
  const std::string_view architecture = go_architecture();
  if (architecture == "amd64") return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  if (architecture == "arm64") return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
  if (architecture == "s390x") return {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"};
  if (architecture == "riscv64") return {"SCMP_ARCH_RISCV64"};
  if (architecture == "loong64") return {"SCMP_ARCH_LOONGARCH64"};
  return {};  // the machine's own
}

}  // namespace runtime
