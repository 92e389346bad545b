#include "engine/exec_streams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr std::size_t kTypedLimit = 65536;
// A child of the process may keep its output open; nobody waits longer than this for it.
constexpr int kDrainMilliseconds = 100;

void make_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void set_size(int console) {
  const TerminalSize size = terminal_size();
  if (size.height == 0) return;
  winsize window = {};
  window.ws_row = size.height;
  window.ws_col = size.width;
  ioctl(console, TIOCSWINSZ, &window);
}

std::int64_t monotonic_milliseconds() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

int reap(int pidfd) {
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0) {
    if (errno != EINTR) base::throw_errno("waitid");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

ExecStreams::ExecStreams(const ExecRequest& request)
    : request_(request),
      detach_(request.tty ? parse_detach_keys(request.detach_keys) : std::string()),
      reading_(request.interactive) {
  if (request.detach || request.tty) return;
  const auto make = [](Pipe& pipe) {
    int ends[2] = {-1, -1};
    base::check(pipe2(ends, O_CLOEXEC), "pipe");
    pipe = {base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
  };
  if (request.interactive) make(in_);
  make(out_);
  make(err_);
}

runtime::Stdio ExecStreams::theirs() const {
  return {.in = in_.read.get(), .out = out_.write.get(), .err = err_.write.get()};
}

void ExecStreams::close_theirs() {
  in_.read.reset();
  out_.write.reset();
  err_.write.reset();
}

bool ExecStreams::copy_output(base::UniqueFd& from, int to) {
  std::array<char, 65536> buffer;
  const ssize_t count = read(from.get(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {  // EIO: a terminal that nobody has open any more
    from.reset();
    return false;
  }
  base::write_all(to, {buffer.data(), static_cast<std::size_t>(count)});
  return true;
}

void ExecStreams::flush_stdin() {
  const int fd = request_.tty ? out_.read.get() : in_.write.get();
  while (!typed_.empty() && fd >= 0) {
    const ssize_t count = write(fd, typed_.data(), typed_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) return typed_.clear();  // EPIPE: it does not want any
    typed_.erase(0, static_cast<std::size_t>(count));
  }
}

// False once the process has ended.
bool ExecStreams::carry(const runtime::Executed& process, SignalWatch& signals) {
  if (!reading_ && typed_.empty()) in_.write.reset();
  const bool typing = !typed_.empty();
  const bool reading = reading_ && typed_.size() < kTypedLimit;
  const auto out_events = static_cast<short>(typing && request_.tty ? POLLIN | POLLOUT : POLLIN);
  std::array<pollfd, 6> items = {{
      {.fd = process.pidfd.get(), .events = POLLIN, .revents = 0},
      {.fd = out_.read.get(), .events = out_events, .revents = 0},
      {.fd = err_.read.get(), .events = POLLIN, .revents = 0},
      {.fd = typing && !request_.tty ? in_.write.get() : -1, .events = POLLOUT, .revents = 0},
      {.fd = reading ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
      {.fd = signals.fd(), .events = POLLIN, .revents = 0},
  }};
  if (poll(items.data(), items.size(), -1) < 0) {
    if (errno == EINTR) return true;
    base::throw_errno("poll");
  }
  if ((items[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) copy_output(out_.read, STDOUT_FILENO);
  if (items[2].revents != 0) copy_output(err_.read, STDERR_FILENO);
  if (items[4].revents != 0) read_stdin();
  flush_stdin();
  take_signals(signals);
  return items[0].revents == 0;
}

void ExecStreams::read_stdin() {
  std::array<char, 32768> buffer;
  const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
  if (count > 0) {
    typed_ += detach_.filter({buffer.data(), static_cast<std::size_t>(count)}, detached_);
  } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    reading_ = false;
  }
}

void ExecStreams::take_signals(SignalWatch& signals) {
  while (const int signal = signals.next()) {
    if (signal == SIGWINCH) {
      set_size(out_.read.get());
    } else {
      if (terminal_) terminal_->restore();
      die_of(signal);
    }
  }
}

void ExecStreams::drain_output() {
  const std::int64_t end = monotonic_milliseconds() + kDrainMilliseconds;
  while (out_.read || err_.read) {
    if (out_.read && copy_output(out_.read, STDOUT_FILENO)) continue;
    if (err_.read && copy_output(err_.read, STDERR_FILENO)) continue;
    const std::int64_t left = end - monotonic_milliseconds();
    if (left <= 0 || request_.tty || (!out_.read && !err_.read)) return;
    std::array<pollfd, 2> items = {{{.fd = out_.read.get(), .events = POLLIN, .revents = 0},
                                    {.fd = err_.read.get(), .events = POLLIN, .revents = 0}}};
    poll(items.data(), items.size(), static_cast<int>(left));
  }
}

std::optional<int> ExecStreams::run(runtime::Executed& process) {
  SignalWatch signals(request_.tty ? SignalWatch::Purpose::kTerminal : SignalWatch::Purpose::kNone);
  if (request_.tty) {
    out_.read = std::move(process.console);
    set_size(out_.read.get());
    if (request_.interactive) terminal_.emplace();
  }
  for (const base::UniqueFd* fd : {&in_.write, &out_.read, &err_.read}) make_nonblocking(fd->get());
  // A process that does not want our input is its own business, not the end of ours.
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before = {};
  if (request_.interactive) sigaction(SIGPIPE, &ignore, &before);
  base::Cleanup restore([&] {
    if (request_.interactive) sigaction(SIGPIPE, &before, nullptr);
  });
  while (carry(process, signals)) {
    if (detached_) return std::nullopt;
  }
  const int code = reap(process.pidfd.get());
  drain_output();
  return code;
}

}  // namespace engine
