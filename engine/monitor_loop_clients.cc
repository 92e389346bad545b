// The clients of a MonitorLoop: who they are and what they ask for.
#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "engine/monitor_loop.h"

namespace engine {
namespace {

constexpr std::size_t kMaxClients = 64;

}  // namespace

MonitorClient& MonitorLoop::add_client(std::unique_ptr<MonitorClient> client, StdinOnce once) {
  clients_.push_back(std::move(client));
  client_sources_.emplace_back(clients_.back().get(), Source{});
  if (once == StdinOnce::kYes) stdin_owner_ = clients_.back().get();
  return *clients_.back();
}

void MonitorLoop::accept_client() {
  base::UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || clients_.size() >= kMaxClients) return;
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  if (peer.uid != 0 && peer.uid != geteuid()) return;
  add_client(std::make_unique<MonitorClient>(std::move(socket)), StdinOnce::kNo);
}

void MonitorLoop::serve(MonitorClient& client) {
  client.receive();
  FrameReader::Frame frame{};
  try {
    while (client.next(frame)) handle(client, frame);
  } catch (const base::Error& error) {
    client.send(FrameType::kError, render_error(error));
    client.close();
  }
}

void MonitorLoop::handle(MonitorClient& client, const FrameReader::Frame& frame) {
  switch (frame.type) {
    case FrameType::kHello:
      if (!frame.payload.empty()) client.set_flags(static_cast<std::uint8_t>(frame.payload[0]));
      break;
    case FrameType::kStdin:
      if (container_ == nullptr || (!container_->in && !container_->options.tty)) {
        client.send(FrameType::kStdinTaken, render_number(frame.payload.size(), 4));
        break;
      }
      if (stdin_pending_.size() + frame.payload.size() > 4 * kStdinWindow) {
        throw base::Error(base::ErrorKind::kInvalid, "attach: standard input beyond its window");
      }
      stdin_pending_ += frame.payload;
      stdin_debts_.emplace_back(&client, frame.payload.size());
      write_stdin();
      break;
    case FrameType::kStdinClosed:
      if (&client == stdin_owner_ && container_ != nullptr && !container_->options.tty) {
        close_stdin();
      }
      break;
    case FrameType::kResize:
      resize(frame.payload);
      break;
    case FrameType::kSignal:
      if (!frame.payload.empty() && container_ != nullptr) {
        base::send_signal(container_->process.pidfd.get(),
                          static_cast<unsigned char>(frame.payload[0]));
      }
      break;
    case FrameType::kStop:
      if (!frame.payload.empty()) stop(static_cast<unsigned char>(frame.payload[0]));
      break;
    case FrameType::kPause:
    case FrameType::kUnpause:
    case FrameType::kHold:
      pause(client, frame.type);
      client.send(FrameType::kDone, {});
      break;
    case FrameType::kNetwork:
      if (container_ == nullptr) {
        throw base::Error(base::ErrorKind::kConflict,
                          "the container is restarting, wait until it is running");
      }
      hooks_.change_network(frame.payload);
      client.send(FrameType::kDone, {});
      break;
    case FrameType::kKeepTerminal:
      keep_terminal(client.take_descriptor());
      break;
    default:
      break;
  }
}

void MonitorLoop::stop(int signal) {
  end_.then = AfterEnd::kStay;
  end_.stopped = true;
  if (container_ != nullptr) base::send_signal(container_->process.pidfd.get(), signal);
}

void MonitorLoop::pause(MonitorClient& client, FrameType request) {
  if (container_ == nullptr) {
    throw base::Error(base::ErrorKind::kConflict,
                      "the container is restarting, wait until it is running");
  }
  const bool frozen = paused_ || !holders_.empty();
  if (request == FrameType::kHold) {
    if (!frozen) hooks_.set_paused(true);
    holders_.push_back(&client);
    return;
  }
  hooks_.set_paused(request == FrameType::kPause);
  paused_ = request == FrameType::kPause;
  if (!paused_) holders_.clear();
}

void MonitorLoop::let_go(const MonitorClient& client) {
  if (std::erase(holders_, &client) == 0 || !holders_.empty() || paused_ || container_ == nullptr)
    return;
  try {
    hooks_.set_paused(false);
  } catch (const base::Error&) {  // the row says paused, and `unpause` tries again
  }
}

void MonitorLoop::keep_terminal(base::UniqueFd master) {
  if (!master) return;
  fcntl(master.get(), F_SETFL, fcntl(master.get(), F_GETFL) | O_NONBLOCK);
  epoll_event event = {.events = EPOLLIN, .data = {.fd = master.get()}};
  base::check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, master.get(), &event), "epoll_ctl");
  terminals_.push_back(std::move(master));
}

bool MonitorLoop::drop_output(int fd) {
  const auto terminal = std::find_if(terminals_.begin(), terminals_.end(),
                                     [&](const auto& item) { return item.get() == fd; });
  if (terminal == terminals_.end()) return false;
  std::array<char, 16384> buffer;
  const ssize_t count = read(fd, buffer.data(), buffer.size());
  if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) return true;
  // EIO: the last process has closed it. The command that left it may still have it open, so
  // closing alone would not end the watch; see epoll(7).
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  terminals_.erase(terminal);
  return true;
}

void MonitorLoop::resize(std::string_view payload) {
  if (payload.size() != 4 || container_ == nullptr) return;
  if (!container_->options.tty || !container_->out) return;
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(parse_number(payload.substr(0, 2)));
  size.ws_col = static_cast<unsigned short>(parse_number(payload.substr(2, 2)));
  ioctl(container_->out.get(), TIOCSWINSZ, &size);  // the kernel tells the foreground group
}

void MonitorLoop::forget_closed_clients() {
  for (const auto& client : clients_) {
    if (client->is_open()) continue;
    let_go(*client);
    for (auto& [debtor, debt] : stdin_debts_) {
      if (debtor == client.get()) debtor = nullptr;
    }
    if (client.get() == stdin_owner_) {  // killed: what it would have typed will never come
      stdin_owner_ = nullptr;
      if (container_ != nullptr && !container_->options.tty) close_stdin();
    }
  }
  const auto closed = [](const MonitorClient& client) { return !client.is_open(); };
  std::erase_if(client_sources_, [&](const auto& item) { return closed(*item.first); });
  std::erase_if(clients_, [&](const auto& client) { return closed(*client); });
}

void MonitorLoop::send_exit(int code) {
  for (const auto& client : clients_) {
    client->send(FrameType::kExit, render_number(static_cast<std::uint64_t>(code), 4));
    client->close_when_flushed();
  }
  stdin_owner_ = nullptr;
}

void MonitorLoop::flush_clients() {
  for (const auto& client : clients_) client->flush_blocking();
}

}  // namespace engine
