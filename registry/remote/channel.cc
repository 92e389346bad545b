#include "registry/remote/channel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"

namespace registry {
namespace {

using WireHeader = std::array<std::uint32_t, 2>;

[[noreturn]] void throw_gone() {
  throw base::Error(base::ErrorKind::kUnavailable, "the other process has ended");
}

void send_all(int fd, std::array<iovec, 2> parts) {
  msghdr message = {};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (message.msg_iovlen > 0) {
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) throw_gone();
    auto left = static_cast<std::size_t>(base::check(sent, "sendmsg"));
    while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
      left -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen == 0) return;
    message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + left;
    message.msg_iov->iov_len -= left;
  }
}

// Fewer bytes than asked for only at the end of the stream.
std::size_t receive_all(int fd, char* data, std::size_t size) {
  std::size_t received = 0;
  while (received < size) {
    const ssize_t count = recv(fd, data + received, size - received, MSG_WAITALL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == ECONNRESET) return received;
    if (base::check(count, "recv") == 0) return received;
    received += static_cast<std::size_t>(count);
  }
  return received;
}

}  // namespace

void throw_malformed() {
  throw base::Error(base::ErrorKind::kCorrupt, "malformed message from the other process");
}

void Channel::send(FrameType type, std::string_view payload) {
  if (payload.size() > kMaxFrameBytes) {
    throw base::Error(base::ErrorKind::kInvalid, "message too large for the other process");
  }
  WireHeader header = {static_cast<std::uint32_t>(type),
                       static_cast<std::uint32_t>(payload.size())};
  send_all(fd_.get(),
           {{{header.data(), sizeof header}, {const_cast<char*>(payload.data()), payload.size()}}});
}

bool Channel::find_header(Header& header) {
  WireHeader wire = {};
  const std::size_t received =
      receive_all(fd_.get(), reinterpret_cast<char*>(wire.data()), sizeof wire);
  if (received == 0) return false;
  if (received != sizeof wire) throw_gone();
  const bool is_known = wire[0] >= static_cast<std::uint32_t>(FrameType::kRequest) &&
                        wire[0] <= static_cast<std::uint32_t>(FrameType::kProgress);
  if (!is_known || wire[1] > kMaxFrameBytes) throw_malformed();
  header = {.type = static_cast<FrameType>(wire[0]), .size = wire[1]};
  return true;
}

Channel::Header Channel::receive_header() {
  Header header;
  if (!find_header(header)) throw_gone();
  return header;
}

std::string Channel::receive_payload(std::size_t size) {
  std::string payload(size, '\0');
  if (receive_all(fd_.get(), payload.data(), size) != size) throw_gone();
  return payload;
}

std::size_t Channel::receive_some(std::span<char> buffer) {
  for (;;) {
    const ssize_t count = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0 || (count < 0 && errno == ECONNRESET)) throw_gone();
    return static_cast<std::size_t>(base::check(count, "recv"));
  }
}

FieldWriter& FieldWriter::number(std::uint64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  bytes_.append(bytes, sizeof bytes);
  return *this;
}

FieldWriter& FieldWriter::text(std::string_view value) {
  number(value.size());
  bytes_ += value;
  return *this;
}

std::string_view FieldReader::take(std::size_t size) {
  if (size > rest_.size()) throw_malformed();
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

std::uint64_t FieldReader::number() {
  std::uint64_t value = 0;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::string FieldReader::text() { return std::string(take(number())); }

void FieldReader::finish() const {
  if (!rest_.empty()) throw_malformed();
}

}  // namespace registry
