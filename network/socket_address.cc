#include "network/socket_address.h"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

#include "base/error.h"

namespace network {

SocketAddress::SocketAddress(const IpAddress& address, std::uint16_t port) {
  if (address.is_v6()) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    std::memcpy(&name.sin6_addr, address.v6().bytes.data(), sizeof name.sin6_addr);
    std::memcpy(&bytes_, &name, size_ = sizeof name);
  } else {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address.v4().bits);
    std::memcpy(&bytes_, &name, size_ = sizeof name);
  }
}

SocketAddress SocketAddress::of_socket(int fd) {
  SocketAddress address;
  address.size_ = sizeof address.bytes_;
  base::check(getsockname(fd, address.get(), &address.size_), "getsockname");
  return address;
}

ssize_t SocketAddress::receive(int fd, std::span<std::uint8_t> buffer) {
  size_ = sizeof bytes_;
  return recvfrom(fd, buffer.data(), buffer.size(), 0, get(), &size_);
}

std::uint16_t SocketAddress::port() const {
  std::uint16_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&bytes_) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return ntohs(port);
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return size_ == other.size_ && std::memcmp(&bytes_, &other.bytes_, size_) == 0;
}

}  // namespace network
