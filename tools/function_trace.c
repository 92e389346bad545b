// function_trace OUT PROGRAM [ARG...]: which code of PROGRAM runs, in the order of first use.
//
// Steps through the program and what it clones, one instruction at a time, until each executes another
// program. Writes one line per 16 bytes of code, as an offset from the program's entry point; what has
// started again from the same file counts on. For scripts/order-functions; x86-64 only.
#define _GNU_SOURCE
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBlock = 16, kReach = 64 << 20 };  // code further from the entry than kReach is not ours

static unsigned char seen[2 * kReach / kBlock];

// Where the kernel entered the program that `pid` has just executed; see getauxval(3), AT_ENTRY.
static uint64_t entry_of(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/auxv", (int)pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  Elf64_auxv_t pair;
  uint64_t entry = 0;
  while (fd >= 0 && read(fd, &pair, sizeof pair) == sizeof pair) {
    if (pair.a_type == AT_ENTRY) entry = pair.a_un.a_val;
  }
  if (fd >= 0) close(fd);
  return entry;
}

static int is_same_program(pid_t pid, const struct stat* program) {
  char path[64];
  struct stat info;
  snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
  return stat(path, &info) == 0 && info.st_dev == program->st_dev && info.st_ino == program->st_ino;
}

static void note(pid_t pid, uint64_t entry, FILE* out) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers) != 0) return;
  const int64_t offset = (int64_t)(registers.rip - entry);
  if (offset < -kReach || offset >= kReach) return;
  unsigned char* const mark = &seen[(offset + kReach) / kBlock];
  if (*mark) return;
  *mark = 1;
  fprintf(out, "%" PRId64 "\n", offset);
}

int main(int argc, char** argv) {
  if (argc < 3) errx(2, "usage: function_trace OUT PROGRAM [ARG...]");
  FILE* const out = fopen(argv[1], "we");
  struct stat program;
  if (out == NULL) err(1, "%s", argv[1]);
  if (stat(argv[2], &program) != 0) err(1, "%s", argv[2]);
  const pid_t first = fork();
  if (first < 0) err(1, "fork");
  if (first == 0) {
    personality(ADDR_NO_RANDOMIZE);  // every start has the same addresses
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(argv[2], argv + 2);
    err(127, "%s", argv[2]);
  }
  int status = 0;
  int result = 1;
  waitpid(first, &status, 0);
  if (!WIFSTOPPED(status)) return 1;
  const uint64_t entry = entry_of(first);
  ptrace(PTRACE_SETOPTIONS, first, 0,
         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
  ptrace(PTRACE_SINGLESTEP, first, 0, 0);
  for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    if (!WIFSTOPPED(status)) {
      if (pid == first) {
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        break;  // a container that was created and not started lives on, untraced
      }
      continue;
    }
    const int event = status >> 16;
    const int signal = WSTOPSIG(status);
    if (event == PTRACE_EVENT_EXEC && !is_same_program(pid, &program)) {
      ptrace(PTRACE_DETACH, pid, 0, 0);
      continue;
    }
    note(pid, entry, out);
    const int pass = event != 0 || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal;
    ptrace(PTRACE_SINGLESTEP, pid, 0, pass);
  }
  fclose(out);
  return result;
}
