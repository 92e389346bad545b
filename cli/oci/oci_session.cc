#include "cli/oci/oci_session.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "cli/oci/oci_activation.h"

namespace cli_oci {
namespace {

// Everything that can be sent to a process on purpose. SIGCHLD is about our own child, and what
// stops a terminal's job stays with us.
sigset_t forwarded_signals() {
  sigset_t set;
  sigfillset(&set);
  for (const int own : {SIGCHLD, SIGPIPE, SIGURG, SIGTSTP, SIGTTIN, SIGTTOU, SIGSEGV, SIGBUS,
                        SIGFPE, SIGILL, SIGABRT}) {
    sigdelset(&set, own);
  }
  return set;
}

void copy_size(int terminal) {
  winsize size = {};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ioctl(terminal, TIOCSWINSZ, &size);
}

// Our terminal in raw mode for as long as this lives: the container's own does the editing.
class RawMode {
 public:
  RawMode() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode() {
    if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_ = {};
  bool active_ = false;
};

// Copies what is there; false at the end of `from`.
bool copy_some(int from, int to) {
  char buffer[16384];
  const ssize_t size = read(from, buffer, sizeof buffer);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (size <= 0) return false;  // EIO: the pty's other side is closed
  try {
    base::write_all(to, {buffer, static_cast<std::size_t>(size)});
  } catch (const base::Error&) {
    return false;
  }
  return true;
}

void pass_on_signals(int signals, int pidfd, int console) {
  signalfd_siginfo info = {};
  while (read(signals, &info, sizeof info) == sizeof info) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH && console >= 0) {
      copy_size(console);
    } else {
      base::send_signal(pidfd, signal);
    }
  }
}

// What the process still wrote before it ended.
void drain(int console) {
  fcntl(console, F_SETFL, O_NONBLOCK);
  for (;;) {
    pollfd item = {.fd = console, .events = POLLIN, .revents = 0};
    if (poll(&item, 1, 0) <= 0 || (item.revents & POLLIN) == 0) return;
    if (!copy_some(console, STDOUT_FILENO)) return;
  }
}

}  // namespace

Session::Session() {
  const sigset_t set = forwarded_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(base::check(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

Session::~Session() {
  const sigset_t set = forwarded_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

int Session::wait(pid_t pid, int pidfd, base::UniqueFd console, const NotifySocket* notify) {
  std::optional<RawMode> raw;
  if (console) {
    raw.emplace();
    copy_size(console.get());
  }
  int input = console ? STDIN_FILENO : -1;
  int output = console.get();
  for (;;) {
    pollfd items[] = {
        {.fd = pidfd, .events = POLLIN, .revents = 0},
        {.fd = signals_.get(), .events = POLLIN, .revents = 0},
        {.fd = output, .events = POLLIN, .revents = 0},
        {.fd = input, .events = POLLIN, .revents = 0},
        {.fd = notify != nullptr ? notify->fd() : -1, .events = POLLIN, .revents = 0}};
    if (poll(items, std::size(items), -1) < 0) {
      if (errno == EINTR) continue;
      base::throw_errno("poll");
    }
    if (items[1].revents != 0) pass_on_signals(signals_.get(), pidfd, console.get());
    if (items[2].revents != 0 && !copy_some(output, STDOUT_FILENO)) output = -1;
    if (items[3].revents != 0 && !copy_some(input, console.get())) input = -1;
    // The manager watches us, not the container's process, which is our child: no MAINPID.
    if (notify != nullptr && items[4].revents != 0 && notify->forward(0)) notify = nullptr;
    if (items[0].revents != 0) break;
  }
  if (output >= 0) drain(output);
  return base::wait_for_child(pid);
}

std::optional<oci::ConsoleSize> find_console_size() {
  winsize size = {};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return std::nullopt;
  return oci::ConsoleSize{.height = size.ws_row, .width = size.ws_col};
}

base::UniqueFd connect_console(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "console socket: the path is longer than 107 bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  base::UniqueFd fd(base::check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  base::check(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              "console socket " + path);
  return fd;
}

}  // namespace cli_oci
