#include "engine/monitor_client.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

#include "base/descriptor_passing.h"

namespace engine {

MonitorClient::MonitorClient(base::UniqueFd socket) : socket_(std::move(socket)) {}

void MonitorClient::send(FrameType type, std::string_view payload) {
  if (!is_open() || leaving_) return;
  outgoing_ += render_frame(type, payload);
  flush();
}

void MonitorClient::flush() {
  while (is_open() && has_pending()) {
    const ssize_t count = ::send(socket_.get(), outgoing_.data() + sent_, outgoing_.size() - sent_,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count < 0) return close();
    sent_ += static_cast<std::size_t>(count);
  }
  if (!has_pending()) {
    outgoing_.clear();
    if (outgoing_.capacity() > kMuch) outgoing_.shrink_to_fit();
    sent_ = 0;
    if (leaving_) close();
  } else if (sent_ > kMuch) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
}

void MonitorClient::flush_blocking() {
  for (flush(); is_open() && has_pending(); flush()) {
    pollfd item = {.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    if (poll(&item, 1, -1) < 0 && errno != EINTR) return close();
  }
}

void MonitorClient::receive() {
  std::array<char, 65536> buffer;
  base::UniqueFd passed;
  const ssize_t count = base::receive_with_descriptor(socket_.get(), buffer, passed, MSG_DONTWAIT);
  if (passed) passed_ = std::move(passed);
  if (count > 0) {
    reader_.add({buffer.data(), static_cast<std::size_t>(count)});
  } else if (count == 0 || errno != EAGAIN) {
    close();
  }
}

void MonitorClient::close_when_flushed() {
  leaving_ = true;
  flush();
}

void MonitorClient::close() {
  socket_.reset();
  outgoing_.clear();
  sent_ = 0;
}

}  // namespace engine
