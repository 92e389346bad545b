// sampan-init: the first process of a container started with --init. Starts the program that it is
// given, passes signals on to it, reaps every orphan, and ends as the program ended. Static and
// small: it is bound into containers that have no libc of ours.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int kNotFound = 127;
constexpr int kNotRunnable = 126;

void complain(const char* program, int error) {
  const char* const reason = strerror(error);
  for (const char* part : {"sampan-init: ", program, ": ", reason, "\n"}) {
    if (write(STDERR_FILENO, part, strlen(part)) < 0) return;
  }
}

// Kept for the program: errors of ours, and job control, which would stop us with the terminal.
void forward_all(sigset_t& signals) {
  sigfillset(&signals);
  for (const int ours :
       {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU}) {
    sigdelset(&signals, ours);
  }
}

[[noreturn]] void become(char** argv, const sigset_t& before) {
  sigprocmask(SIG_SETMASK, &before, nullptr);
  // A group of its own in the foreground of the terminal, so that its keys reach the program only.
  setpgid(0, 0);
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(STDIN_FILENO, getpid());
  signal(SIGTTOU, SIG_DFL);
  signal(SIGTTIN, SIG_DFL);
  execvp(argv[0], argv);
  const int error = errno;
  complain(argv[0], error);
  _exit(error == ENOENT ? kNotFound : kNotRunnable);
}

// Reaps whoever has ended; the exit code where our program was among them, else -1.
int reap(pid_t program) {
  int code = -1;
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return code;
    if (pid != program) continue;
    code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--") == 0) {
    --argc;
    ++argv;
  }
  if (argc < 2) return kNotFound;
  sigset_t signals;
  sigset_t before;
  forward_all(signals);
  sigprocmask(SIG_SETMASK, &signals, &before);
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  const pid_t program = fork();
  if (program < 0) {
    complain(argv[1], errno);
    return kNotRunnable;
  }
  if (program == 0) become(argv + 1, before);
  for (;;) {
    const int number = sigwaitinfo(&signals, nullptr);
    if (number == SIGCHLD) {
      const int code = reap(program);
      if (code >= 0) return code;
    } else if (number > 0) {
      kill(program, number);
    }
  }
}
