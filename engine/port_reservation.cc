#include "engine/port_reservation.h"

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "engine/bridge_network.h"

namespace engine {
namespace {

int socket_type(network::Protocol protocol) {
  return protocol == network::Protocol::kUdp ? SOCK_DGRAM : SOCK_STREAM;
}

int socket_protocol(network::Protocol protocol) {
  return protocol == network::Protocol::kSctp ? IPPROTO_SCTP : 0;
}

[[noreturn]] void refuse(const network::PublishedPort& port, int error) {
  const std::string address = port.host_address.str() + ":" + std::to_string(port.host_port);
  if (error == EADDRINUSE) {
    throw base::Error(base::ErrorKind::kConflict,
                      "Bind for " + address + " failed: port is already allocated", error);
  }
  base::throw_errno("Bind for " + address + " failed", error);
}

// Port 0 gets a number here.
base::UniqueFd bind_port(network::PublishedPort& port) {
  base::UniqueFd fd(
      socket(AF_INET, socket_type(port.protocol) | SOCK_CLOEXEC, socket_protocol(port.protocol)));
  if (!fd && port.protocol == network::Protocol::kSctp) return fd;  // no module: nobody can use it
  if (!fd) base::throw_errno("socket");
  if (port.protocol == network::Protocol::kTcp) {
    // A connection of the port's last user in TIME_WAIT is no reason to refuse it.
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port.host_port);
  address.sin_addr.s_addr = htonl(port.host_address.bits);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    refuse(port, errno);
  }
  socklen_t size = sizeof address;
  base::check(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port.host_port = ntohs(address.sin_port);
  if (port.protocol != network::Protocol::kUdp && listen(fd.get(), 1) != 0) refuse(port, errno);
  return fd;
}

}  // namespace

PortReservation reserve_ports(const std::vector<PortOption>& wanted) {
  PortReservation reservation;
  for (const PortOption& option : wanted) {
    network::PublishedPort port{.host_address = {},
                                .host_port = option.host_port,
                                .container_port = option.container_port,
                                .protocol = option.protocol};
    if (!option.host_address.empty()) {
      port.host_address = network::Ipv4::parse(option.host_address);
    }
    base::UniqueFd socket = bind_port(port);
    if (socket) reservation.sockets.push_back(std::move(socket));
    reservation.ports.push_back(port);
  }
  return reservation;
}

}  // namespace engine
