#include "engine/signal_watch.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"

namespace engine {

SignalWatch::SignalWatch(Purpose purpose) {
  sigset_t signals;
  sigemptyset(&signals);
  if (purpose == Purpose::kForward) {
    sigfillset(&signals);
    // Ours: errors of the program, job control of the terminal's reader, children, broken pipes.
    for (const int ours : {SIGCHLD, SIGPIPE, SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT,
                           SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU, SIGPROF, SIGVTALRM}) {
      sigdelset(&signals, ours);
    }
  } else if (purpose == Purpose::kTerminal) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH}) {
      sigaddset(&signals, signal);
    }
  }
  base::check(sigprocmask(SIG_BLOCK, &signals, &before_), "sigprocmask");
  if (purpose != Purpose::kNone) {
    fd_.reset(base::check(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
  }
}

SignalWatch::~SignalWatch() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

int SignalWatch::next() {
  signalfd_siginfo info = {};
  if (!fd_ || read(fd_.get(), &info, sizeof info) != sizeof info) return 0;
  return static_cast<int>(info.ssi_signo);
}

void die_of(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  sigprocmask(SIG_UNBLOCK, &one, nullptr);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace engine
