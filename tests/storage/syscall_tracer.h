// SyscallTracer: runs work in a child under ptrace(2), to kill it before its n-th changing system
// call or to see in which order it makes them.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace storage_test {

struct TracedRun {
  bool finished = false;           // it came to its end before the call that was to kill it
  std::vector<std::string> calls;  // the changing ones, in order
};

// The name of a call that changes something others can see; null for the rest.
inline const char* changing_call(std::uint64_t number) {
  switch (number) {
    case SYS_write:
      return "write";
    case SYS_pwrite64:
      return "write";
    case SYS_rename:
      return "rename";
    case SYS_renameat:
      return "rename";
    case SYS_renameat2:
      return "rename";
    case SYS_mkdir:
      return "mkdir";
    case SYS_mkdirat:
      return "mkdir";
    case SYS_rmdir:
      return "rmdir";
    case SYS_unlink:
      return "unlink";
    case SYS_unlinkat:
      return "unlink";
    case SYS_ftruncate:
      return "truncate";
    case SYS_fsync:
      return "sync file";
    case SYS_fdatasync:
      return "sync file";
    case SYS_sync_file_range:
      return "sync file";
    case SYS_syncfs:
      return "sync all";
    case SYS_sync:
      return "sync all";
    case SYS_flock:
      return "flock";
    case SYS_fcntl:
      return "lock";  // SQLite's, whose memory changes between them
    default:
      return nullptr;
  }
}

// `work` runs between two getppid(2) that mark its begin and end, so that only its own calls count.
// kill_before: the index among the changing calls; -1: never.
inline TracedRun run_traced(const std::function<void()>& work, int kill_before = -1) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    int code = 0;
    syscall(SYS_getppid);
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "traced work: %s\n", error.what());
      code = 1;
    }
    syscall(SYS_getppid);
    _exit(code);
  }
  TracedRun run;
  int status = 0;
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  int marks = 0;
  int signal = 0;
  for (;;) {
    ptrace(PTRACE_SYSCALL, child, nullptr, signal);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      run.finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      return run;
    }
    signal = WSTOPSIG(status);
    if (signal != (SIGTRAP | 0x80)) continue;  // a signal of its own: pass it on
    signal = 0;
    __ptrace_syscall_info info = {};
    ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    if (info.entry.nr == SYS_getppid) ++marks;
    const char* const name = changing_call(info.entry.nr);
    if (marks != 1 || name == nullptr) continue;
    if (static_cast<int>(run.calls.size()) == kill_before) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return run;
    }
    run.calls.emplace_back(name);
  }
}

}  // namespace storage_test
