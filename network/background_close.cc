#include "network/background_close.h"

#include <array>
#include <cstring>
#include <sys/socket.h>

namespace network {

BackgroundClose::BackgroundClose(int fd) noexcept {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  sender_.reset(ends[0]);
  receiver_.reset(ends[1]);
  const std::array<int, 2> in_flight{fd, receiver_.get()};

  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof in_flight)> control{};
  char nothing = 0;
  iovec content{&nothing, 1};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof in_flight);
  std::memcpy(CMSG_DATA(rights), in_flight.data(), sizeof in_flight);
  // A failure only means that the caller's close waits after all.
  static_cast<void>(sendmsg(sender_.get(), &message, MSG_DONTWAIT));
}

}  // namespace network
