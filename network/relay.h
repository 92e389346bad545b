// Relay: carries to a container what arrives at a published port's own socket, for the few ways
// that the firewall's table does not translate.
#pragma once

#include <list>
#include <map>
#include <vector>

#include "base/unique_fd.h"
#include "network/bridge.h"
#include "network/socket_address.h"

namespace network {

// IPv6 to a container without, ::1, and what the host's own filter let through where it is to be
// obeyed. One thread, never blocks; bytes of TCP go through pipes inside the kernel. Bounded: what
// comes beyond kMostConnections waits in the backlog, beyond kMostPeers replaces the oldest.
class Relay {
 public:
  static constexpr std::size_t kMostConnections = 256;
  static constexpr std::size_t kMostPeers = 256;  // of UDP

  Relay();
  ~Relay();

  // `socket` is lent: a listening one, or one of UDP, that does not block.
  void add(int socket, Protocol protocol, const IpAddress& container, std::uint16_t port);
  void remove(int socket);  // before it is closed; its connections go on
  int fd() const { return epoll_.get(); }
  void serve();

 private:
  struct Port;
  struct Connection;
  struct Peer;
  struct Direction;
  void accept_one(Port& port);
  void take_datagrams(Port& port);
  void carry(std::list<Connection>::iterator connection);
  void answer(std::list<Peer>::iterator peer);
  void forget_idle();
  void watch(int fd, std::uint32_t events);
  void listen_again(std::uint32_t events);

  base::UniqueFd epoll_;
  std::list<Port> ports_;
  std::list<Connection> connections_;
  std::list<Peer> peers_;
  bool is_full_ = false;
};

}  // namespace network
