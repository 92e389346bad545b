#include "engine/attach_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

constexpr int kMonitorLost = 137;

SignalWatch::Purpose signals_of(const AttachClientOptions& options) {
  if (options.forward_signals) return SignalWatch::Purpose::kForward;
  return options.tty ? SignalWatch::Purpose::kTerminal : SignalWatch::Purpose::kNone;
}

}  // namespace

AttachClient::AttachClient(AttachClientOptions options)
    : options_(std::move(options)),
      detach_(options_.tty ? parse_detach_keys(options_.detach_keys) : std::string()),
      signals_(signals_of(options_)),
      stdin_open_(options_.stdin_open) {}

std::optional<int> AttachClient::run(MonitorLink& link) {
  if (options_.tty) {
    send_size(link);
    if (options_.stdin_open) terminal_.emplace();
  }
  for (;;) {
    // What came together with kStarted is already in the reader.
    const Outcome taken = take_frames(link);
    if (taken == Outcome::kEnded) return exit_code_;
    const bool reads = stdin_open_ && window_ > 0;
    std::array<pollfd, 3> items = {
        {{.fd = link.fd(), .events = POLLIN, .revents = 0},
         {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0},
         {.fd = signals_.fd(), .events = POLLIN, .revents = 0}}};
    if (poll(items.data(), items.size(), -1) < 0 && errno != EINTR) base::throw_errno("poll");
    if (items[2].revents != 0) take_signals(link);
    if (items[1].revents != 0 && take_stdin(link) == Outcome::kDetached) return std::nullopt;
    if (items[0].revents != 0 && !link.receive()) return kMonitorLost;
  }
}

AttachClient::Outcome AttachClient::take_frames(MonitorLink& link) {
  FrameReader::Frame frame{};
  while (link.next(frame)) {
    switch (frame.type) {
      case FrameType::kStdout:
        base::write_all(STDOUT_FILENO, frame.payload);
        break;
      case FrameType::kStderr:
        base::write_all(STDERR_FILENO, frame.payload);
        break;
      case FrameType::kStdinTaken:
        window_ += parse_number(frame.payload);
        break;
      case FrameType::kError:
        throw parse_error(frame.payload);
      case FrameType::kTrace:
        pass_on_trace(frame.payload);
        break;
      case FrameType::kExit:
        exit_code_ = static_cast<int>(parse_number(frame.payload));
        return Outcome::kEnded;
      default:
        break;
    }
  }
  return Outcome::kGoOn;
}

AttachClient::Outcome AttachClient::take_stdin(MonitorLink& link) {
  std::array<char, 32768> buffer;
  const ssize_t count = read(STDIN_FILENO, buffer.data(), std::min(buffer.size(), window_));
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return Outcome::kGoOn;
  if (count <= 0) {  // EIO: the terminal went away, as good as its end
    stdin_open_ = false;
    link.send(FrameType::kStdinClosed, {});
    return Outcome::kGoOn;
  }
  bool detached = false;
  const std::string passed =
      detach_.filter({buffer.data(), static_cast<std::size_t>(count)}, detached);
  if (!passed.empty()) {
    window_ -= std::min(window_, passed.size());
    link.send(FrameType::kStdin, passed);
  }
  return detached ? Outcome::kDetached : Outcome::kGoOn;
}

void AttachClient::take_signals(MonitorLink& link) {
  while (const int signal = signals_.next()) {
    if (signal == SIGWINCH) {
      if (options_.tty) send_size(link);
    } else if (options_.forward_signals) {
      link.send(FrameType::kSignal, std::string(1, static_cast<char>(signal)));
    } else {
      if (terminal_) terminal_->restore();
      die_of(signal);
    }
  }
}

void AttachClient::send_size(MonitorLink& link) {
  const TerminalSize size = terminal_size();
  if (size.height == 0) return;
  link.send(FrameType::kResize, render_number(size.height, 2) + render_number(size.width, 2));
}

}  // namespace engine
