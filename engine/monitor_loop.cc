#include "engine/monitor_loop.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/process.h"
#include "engine/signals.h"
#include "engine/stop_signal.h"

namespace engine {
namespace {

constexpr std::size_t kChunk = 65536;
constexpr base::Nanoseconds kSecond = 1'000'000'000;
constexpr base::Nanoseconds kIdleAfter = kSecond;
constexpr base::Nanoseconds kLogLook = kSecond / 5;  // at its work in the background
// After the first process has gone, so has its PID namespace: only a descriptor that was passed out
// of the container can keep its pipes open. No such thing may keep `--rm` waiting.
constexpr int kDrainMilliseconds = 100;
constexpr int kDefaultStopSeconds = 10;
constexpr base::Nanoseconds kLongestSleep = 3'600'000;  // milliseconds

base::Nanoseconds monotonic() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

void make_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

base::UniqueFd watch_termination() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return base::UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace

MonitorLoop::MonitorLoop(LogWriter log, base::UniqueFd listener, LoopHooks hooks)
    : log_(std::move(log)),
      epoll_(base::check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      listener_(std::move(listener)),
      termination_(watch_termination()),
      hooks_(std::move(hooks)) {
  watch(listener_source_, listener_.get(), EPOLLIN);
  watch(signal_source_, termination_.get(), EPOLLIN);
}

void MonitorLoop::begin(StartedContainer& container, std::unique_ptr<HealthProbe> probe) {
  container_ = &container;
  probe_ = std::move(probe);
  began_at_ = monotonic();
  idle_at_ = began_at_ + kIdleAfter;
  kill_at_ = 0;
  ended_ = paused_ = stdin_closing_ = false;
  end_ = {};
  make_nonblocking(container.in.get());
  make_nonblocking(container.out.get());
  make_nonblocking(container.err.get());
  make_nonblocking(container.process.console.get());
  if (container.process.console) {
    container.out = std::move(container.process.console);  // both directions
    // Our own descriptor of the other side: without one, the terminal would read as hung up
    // whenever the container has it closed for a moment.
    peer_.reset(ioctl(container.out.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  watch(exit_source_, container.process.pidfd.get(), EPOLLIN);
}

MonitorLoop::~MonitorLoop() = default;

void MonitorLoop::set_service(int fd) {
  watch(service_source_, service_source_.fd, 0);
  hooks_.service = fd;
  if (fd >= 0) watch(service_source_, fd, EPOLLIN);
}

void MonitorLoop::watch(Source& source, int fd, std::uint32_t events) {
  if (source.fd == fd && source.events == events) return;
  epoll_event event = {.events = events, .data = {.fd = fd}};
  if (source.events != 0 && (events == 0 || source.fd != fd)) {
    // Fails where the descriptor was closed, which has removed it already.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.fd, nullptr);
  }
  if (events != 0) {
    const bool known = source.events != 0 && source.fd == fd;
    base::check(epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event),
                "epoll_ctl");
  }
  source = {fd, events};
}

void MonitorLoop::update_interest() {
  for (auto& [client, source] : client_sources_) {
    watch(source, client->fd(), client->has_pending() ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
  if (container_ == nullptr) return;
  const bool blocked = std::any_of(clients_.begin(), clients_.end(),
                                   [](const auto& client) { return client->is_behind(); });
  std::uint32_t out = blocked ? 0U : EPOLLIN;
  if (container_->options.tty && !stdin_pending_.empty()) out |= EPOLLOUT;
  if (container_->out) watch(out_source_, container_->out.get(), out);
  if (container_->err) watch(err_source_, container_->err.get(), blocked ? 0U : EPOLLIN);
  if (container_->in) {
    watch(in_source_, container_->in.get(), stdin_pending_.empty() ? 0U : EPOLLOUT);
  }
}

int MonitorLoop::timeout() const {
  base::Nanoseconds next = 0;
  const base::Nanoseconds look_at = log_.is_busy() ? monotonic() + kLogLook : 0;
  for (const base::Nanoseconds at :
       {idle_at_, kill_at_, look_at, probe_ ? probe_->deadline() : 0}) {
    if (at != 0 && (next == 0 || at < next)) next = at;
  }
  if (next == 0) return -1;
  const base::Nanoseconds left = std::max<base::Nanoseconds>(0, next - monotonic());
  return static_cast<int>(std::min<base::Nanoseconds>(left / 1'000'000 + 1, kLongestSleep));
}

void MonitorLoop::step(int milliseconds) {
  std::array<epoll_event, 16> events;
  update_interest();
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), milliseconds);
  if (count < 0 && errno != EINTR) base::throw_errno("epoll_wait");
  for (int i = 0; i < count; ++i) {
    dispatch(events[static_cast<std::size_t>(i)].data.fd,
             events[static_cast<std::size_t>(i)].events);
  }
  forget_closed_clients();
  log_.settle();
}

RunEnd MonitorLoop::run(StartedContainer& container, std::unique_ptr<HealthProbe> probe) {
  begin(container, std::move(probe));
  while (!ended_) {
    step(timeout());
    const base::Nanoseconds now = monotonic();
    if (idle_at_ != 0 && now >= idle_at_) {
      idle_at_ = 0;
      hooks_.on_idle();
    }
    if (kill_at_ != 0 && now >= kill_at_) {
      kill_at_ = 0;
      base::send_signal(container.process.pidfd.get(), SIGKILL);
    }
    if (!ended_ && probe_ && now >= probe_->deadline() && probe_->deadline() != 0) check_health();
  }
  end_.code = reap();
  watch(exit_source_, container.process.pidfd.get(), 0);
  if (probe_ && probe_->is_running()) finish_check();  // with its namespace it has ended, too
  probe_.reset();
  peer_.reset();
  drain_output();
  if (container.out) watch(out_source_, container.out.get(), 0);
  if (container.err) watch(err_source_, container.err.get(), 0);
  if (container.in) watch(in_source_, container.in.get(), 0);
  stdin_pending_.clear();
  stdin_debts_.clear();
  holders_.clear();
  container_ = nullptr;
  log_.finish(base::now());
  return end_;
}

bool MonitorLoop::wait(base::Nanoseconds duration, bool& stopped) {
  const base::Nanoseconds until = monotonic() + duration;
  end_ = {};
  while (end_.then != AfterEnd::kStay) {
    const base::Nanoseconds left = until - monotonic();
    if (left <= 0) return true;
    step(static_cast<int>(left / 1'000'000 + 1));
  }
  stopped = end_.stopped;
  return false;
}

void MonitorLoop::dispatch(int fd, std::uint32_t events) {
  const bool readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
  if (fd == listener_.get()) return accept_client();
  if (fd == termination_.get()) return handle_termination();
  if (fd == hooks_.service) return hooks_.on_service();
  for (const auto& client : clients_) {
    if (client->fd() != fd) continue;
    if ((events & EPOLLOUT) != 0) client->flush();
    if (readable) serve(*client);
    return;
  }
  if (drop_output(fd) || container_ == nullptr) return;
  if (fd == exit_source_.fd) {
    ended_ = true;
  } else if (container_->out && fd == container_->out.get()) {
    if ((events & EPOLLOUT) != 0) write_stdin();
    if (readable) read_output(container_->out, Stream::kStdout);
  } else if (container_->err && fd == container_->err.get()) {
    read_output(container_->err, Stream::kStderr);
  } else if (container_->in && fd == container_->in.get()) {
    write_stdin();
  } else if (probe_ && fd == probe_->process()) {
    finish_check();
  } else if (probe_ && fd == probe_->output()) {
    watch(probe_output_source_, fd, 0);  // closing may come next
    probe_->read_output();
    if (probe_->output() >= 0) watch(probe_output_source_, fd, EPOLLIN);
  }
}

bool MonitorLoop::read_output(base::UniqueFd& fd, Stream stream) {
  static std::array<char, kChunk> buffer;
  const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {  // EIO: the last one closed the terminal
    watch(stream == Stream::kStdout ? out_source_ : err_source_, fd.get(), 0);
    fd.reset();
    return false;
  }
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
  if (idle_at_ == 0) idle_at_ = monotonic() + kIdleAfter;
  log_.write(stream, bytes, base::now());
  const bool is_out = stream == Stream::kStdout;
  for (const auto& client : clients_) {
    if (client->wants(is_out ? kHelloStdout : kHelloStderr)) {
      client->send(is_out ? FrameType::kStdout : FrameType::kStderr, bytes);
    }
  }
  return true;
}

void MonitorLoop::drain_output() {
  const base::Nanoseconds deadline = monotonic() + kDrainMilliseconds * 1'000'000LL;
  while (container_->out || container_->err) {
    if (container_->out && read_output(container_->out, Stream::kStdout)) continue;
    if (container_->err && read_output(container_->err, Stream::kStderr)) continue;
    const auto left = (deadline - monotonic()) / 1'000'000;
    if (left <= 0) break;
    std::array<pollfd, 2> items = {
        {{.fd = container_->out ? container_->out.get() : -1, .events = POLLIN, .revents = 0},
         {.fd = container_->err ? container_->err.get() : -1, .events = POLLIN, .revents = 0}}};
    if (items[0].fd >= 0 || items[1].fd >= 0) poll(items.data(), 2, static_cast<int>(left));
  }
}

void MonitorLoop::write_stdin() {
  const int fd = container_->options.tty ? container_->out.get() : container_->in.get();
  while (!stdin_pending_.empty() && fd >= 0) {
    const ssize_t count = write(fd, stdin_pending_.data(), stdin_pending_.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    // EPIPE: the container closed its end. What comes is taken and dropped, as docker does.
    std::size_t taken = count < 0 ? stdin_pending_.size() : static_cast<std::size_t>(count);
    stdin_pending_.erase(0, taken);
    while (taken > 0 && !stdin_debts_.empty()) {
      auto& [client, debt] = stdin_debts_.front();
      const std::size_t part = std::min(debt, taken);
      if (client != nullptr) client->send(FrameType::kStdinTaken, render_number(part, 4));
      debt -= part;
      taken -= part;
      if (debt == 0) stdin_debts_.erase(stdin_debts_.begin());
    }
  }
  if (stdin_pending_.empty() && stdin_closing_) close_stdin();
}

void MonitorLoop::close_stdin() {
  if (!stdin_pending_.empty()) {
    stdin_closing_ = true;
    return;
  }
  if (!container_->in) return;
  watch(in_source_, container_->in.get(), 0);
  container_->in.reset();
}

// Asked to end: the container is asked, and killed when it does not obey. It is not a user's wish:
// so it is when the machine goes down.
void MonitorLoop::handle_termination() {
  signalfd_siginfo info = {};
  if (read(termination_.get(), &info, sizeof info) != sizeof info) return;
  end_.then = AfterEnd::kStay;
  if (container_ == nullptr) return;
  const std::string& name = container_->options.stop_signal;
  end_within(name.empty() ? SIGTERM : parse_signal(name),
             container_->options.stop_timeout.value_or(kDefaultStopSeconds));
}

// A program that never sees the signal is not waited for, as by `stop`; before it may have come to
// its handlers it is.
void MonitorLoop::end_within(int signal, int seconds) {
  const bool is_settled = monotonic() - began_at_ >= kSettleTime;
  if (is_settled && loses_signal(container_->process.init.pid, signal)) signal = SIGKILL;
  base::send_signal(container_->process.pidfd.get(), signal);
  if (seconds >= 0 && kill_at_ == 0) kill_at_ = monotonic() + seconds * kSecond + 1;
}

int MonitorLoop::reap() {
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(container_->process.pidfd.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) base::throw_errno("waitid");
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace engine
