#include "engine/port_reservation.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/error.h"

namespace engine {
namespace {

constexpr int kPairAttempts = 64;          // for a number that is free in both families
constexpr int kBacklog = 128;              // of connections that wait for the relay
constexpr rlim_t kOtherDescriptors = 128;  // that the monitor needs beside its ports

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes); }
};

SocketAddress socket_address(const network::IpAddress& address, std::uint16_t port) {
  SocketAddress result;
  if (address.is_v6()) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    std::memcpy(&name.sin6_addr, address.v6().bytes.data(), sizeof name.sin6_addr);
    std::memcpy(&result.bytes, &name, result.size = sizeof name);
  } else {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address.v4().bits);
    std::memcpy(&result.bytes, &name, result.size = sizeof name);
  }
  return result;
}

std::uint16_t port_of(int fd) {
  SocketAddress name;
  name.size = sizeof name.bytes;
  base::check(getsockname(fd, name.get(), &name.size), "getsockname");
  std::uint16_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&name.bytes) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return ntohs(port);
}

void set_option(int fd, int level, int option) {
  const int on = 1;
  setsockopt(fd, level, option, &on, sizeof on);
}

[[noreturn]] void refuse(const network::PublishedPort& port, int error) {
  const std::string address = port.host_address.with_port(port.host_port);
  if (error == EADDRINUSE) {
    throw base::Error(base::ErrorKind::kConflict,
                      "Bind for " + address + " failed: port is already allocated", error);
  }
  base::throw_errno("Bind for " + address + " failed", error);
}

// Port 0 gets a number here. 0, or the errno of what is in the way.
int bind_port(ReservedPort& reserved) {
  network::PublishedPort& port = reserved.port;
  const bool is_udp = port.protocol == network::Protocol::kUdp;
  const bool is_sctp = port.protocol == network::Protocol::kSctp;
  base::UniqueFd fd(socket(port.host_address.is_v6() ? AF_INET6 : AF_INET,
                           (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           is_sctp ? IPPROTO_SCTP : 0));
  if (!fd && is_sctp) return 0;  // no module: nobody can use it
  if (!fd) return errno;
  // A connection of the port's last user in TIME_WAIT is no reason to refuse it.
  if (!is_udp) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (port.host_address.is_v6()) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  SocketAddress name = socket_address(port.host_address, port.host_port);
  if (bind(fd.get(), name.get(), name.size) != 0) return errno;
  port.host_port = port_of(fd.get());
  if (!is_udp && listen(fd.get(), kBacklog) != 0) return errno;
  reserved.socket = std::move(fd);
  return 0;
}

bool is_without_v6(const network::PublishedPort& port, int error) {
  return port.host_address.is_v6() && port.host_address.is_any() &&
         (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

// The two families of one port that is published everywhere.
bool is_pair(const network::PublishedPort& first, const network::PublishedPort& second) {
  return !first.host_address.is_v6() && second.host_address.is_v6() &&
         first.host_address.is_any() && second.host_address.is_any() &&
         first.host_port == second.host_port && first.container_port == second.container_port &&
         first.protocol == second.protocol;
}

void reserve_one(std::vector<ReservedPort>& list, const network::PublishedPort& port) {
  ReservedPort reserved{.port = port, .socket = {}};
  const int error = bind_port(reserved);
  if (is_without_v6(port, error)) return;
  if (error != 0) refuse(port, error);
  list.push_back(std::move(reserved));
}

// Any number that is free in both; a range leaves out what is taken.
void reserve_pair(std::vector<ReservedPort>& list, const network::PublishedPort& first,
                  const network::PublishedPort& second) {
  for (int attempt = 1;; ++attempt) {
    ReservedPort four{.port = first, .socket = {}};
    if (const int error = bind_port(four); error != 0) refuse(first, error);
    ReservedPort six{.port = second, .socket = {}};
    six.port.host_port = four.port.host_port;
    const int error = bind_port(six);
    if (error == EADDRINUSE && first.host_port == 0 && attempt < kPairAttempts) continue;
    if (error != 0 && !is_without_v6(second, error)) refuse(six.port, error);
    list.push_back(std::move(four));
    if (error == 0) list.push_back(std::move(six));
    return;
  }
}

// Any number that is free, from a range: `reserve` throws kConflict for one that is not.
template <class Reserve>
void reserve_from_range(const network::PublishedPort& port, Reserve reserve) {
  const std::uint16_t last = std::max(port.host_port_last, port.host_port);
  for (std::uint16_t number = port.host_port;; ++number) {
    try {
      return reserve(number);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kConflict || number >= last) throw;
    }
  }
}

network::PublishedPort numbered(network::PublishedPort port, std::uint16_t number) {
  port.host_port = number;
  port.host_port_last = 0;
  return port;
}

// Sockets for a thousand ports are more descriptors than a shell allows by default. The container's
// own limit is in its configuration, or stays what the command has.
void allow_descriptors(std::size_t count) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count + kOtherDescriptors) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4 * count + kOtherDescriptors);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

std::vector<network::PublishedPort> PortReservation::ports() const {
  std::vector<network::PublishedPort> list;
  list.reserve(reserved.size());
  for (const ReservedPort& item : reserved) list.push_back(item.port);
  return list;
}

PortReservation reserve_ports(const std::vector<network::PublishedPort>& wanted) {
  allow_descriptors(wanted.size());
  PortReservation reservation;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool pair = i + 1 < wanted.size() && is_pair(wanted[i], wanted[i + 1]);
    reserve_from_range(wanted[i], [&](std::uint16_t number) {
      if (pair) {
        reserve_pair(reservation.reserved, numbered(wanted[i], number),
                     numbered(wanted[i + 1], number));
      } else {
        reserve_one(reservation.reserved, numbered(wanted[i], number));
      }
    });
    if (pair) ++i;
  }
  return reservation;
}

}  // namespace engine
