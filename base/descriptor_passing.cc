#include "base/descriptor_passing.h"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace base {
namespace {

// The first descriptor of a control message; every other one is closed.
UniqueFd take_first(const cmsghdr* header) noexcept {
  UniqueFd first;
  const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
    UniqueFd owned(fd);
    if (!first) first = std::move(owned);
  }
  return first;
}

}  // namespace

ssize_t send_with_descriptor(int socket_fd, std::string_view bytes, int fd) noexcept {
  iovec vector = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ssize_t count = 0;
  do {
    count = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return count;
}

ssize_t receive_with_descriptor(int socket_fd, std::span<char> buffer, UniqueFd& fd,
                                int flags) noexcept {
  fd.reset();
  iovec vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  // Alignment makes room for two descriptors of what is meant for one.
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return count;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    fd = take_first(header);
  }
  return count;
}

}  // namespace base
