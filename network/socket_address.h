// SocketAddress: an address and a port as the socket calls take them.
#pragma once

#include <cstdint>
#include <span>
#include <sys/socket.h>

#include "network/address.h"

namespace network {

class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const IpAddress& address, std::uint16_t port);
  static SocketAddress of_socket(int fd);  // its own end

  // recvfrom(2); this becomes the sender.
  ssize_t receive(int fd, std::span<std::uint8_t> buffer);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes_); }
  socklen_t size() const { return size_; }
  int family() const { return bytes_.ss_family; }
  std::uint16_t port() const;
  bool operator==(const SocketAddress& other) const;

 private:
  sockaddr_storage bytes_{};
  socklen_t size_ = 0;
};

}  // namespace network
