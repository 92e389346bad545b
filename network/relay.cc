#include "network/relay.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "network/clock.h"

namespace network {
namespace {

constexpr base::Nanoseconds kPeerPatience = 90'000'000'000;  // as docker's proxy
constexpr std::size_t kPipe = 65536;                         // what a pipe holds, pipe(7)
constexpr int kAtOnce = 32;
constexpr unsigned kSplice = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

}  // namespace

struct Relay::Port {
  int socket = -1;
  Protocol protocol = Protocol::kTcp;
  SocketAddress container;
};

// From one socket into a pipe and out of it into the other.
struct Relay::Direction {
  base::UniqueFd in, out;  // of the pipe
  std::size_t held = 0;
  bool is_ended = false;   // nothing more comes
  bool is_passed = false;  // and the other side knows

  bool open() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
    out.reset(ends[0]);
    in.reset(ends[1]);
    return true;
  }

  // False where a side has gone.
  bool carry(int from, int to) {
    for (;;) {
      bool moved = false;
      if (!is_ended && held < kPipe) {
        const ssize_t count = splice(from, nullptr, in.get(), nullptr, kPipe - held, kSplice);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
        is_ended = count == 0;
        if (count > 0) held += static_cast<std::size_t>(count);
        moved = count > 0;
      }
      if (held > 0) {
        const ssize_t count = splice(out.get(), nullptr, to, nullptr, held, kSplice);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (count > 0) held -= static_cast<std::size_t>(count);
        moved = moved || count > 0;
      }
      if (!moved) break;
    }
    if (is_ended && held == 0 && !is_passed) {
      is_passed = true;
      shutdown(to, SHUT_WR);
    }
    return true;
  }
};

struct Relay::Connection {
  base::UniqueFd client, container;
  Direction forth, back;
  bool is_connected = false;
};

// Who sent datagrams to a port, and our socket that stands for it towards the container.
struct Relay::Peer {
  int port = -1;
  SocketAddress client;
  base::UniqueFd socket;
  base::Nanoseconds last = 0;
};

Relay::Relay() : epoll_(base::check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}
Relay::~Relay() = default;

void Relay::watch(int fd, std::uint32_t events) {
  epoll_event event = {.events = events, .data = {.fd = fd}};
  base::check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Relay::add(int socket, Protocol protocol, const IpAddress& container, std::uint16_t port) {
  if (protocol == Protocol::kSctp) return;  // an association has addresses that we can't stand for
  ports_.push_back(
      {.socket = socket, .protocol = protocol, .container = SocketAddress(container, port)});
  watch(socket, EPOLLIN);
}

void Relay::remove(int socket) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
  std::erase_if(ports_, [&](const Port& port) { return port.socket == socket; });
  std::erase_if(peers_, [&](const Peer& peer) { return peer.port == socket; });
}

void Relay::serve() {
  std::array<epoll_event, 64> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    const auto port = std::find_if(ports_.begin(), ports_.end(),
                                   [&](const Port& item) { return item.socket == fd; });
    if (port != ports_.end()) {
      if (port->protocol == Protocol::kUdp) {
        take_datagrams(*port);
      } else {
        accept_one(*port);
      }
      continue;
    }
    const auto connection =
        std::find_if(connections_.begin(), connections_.end(), [&](const Connection& item) {
          return item.client.get() == fd || item.container.get() == fd;
        });
    if (connection != connections_.end()) {
      carry(connection);
      continue;
    }
    const auto peer = std::find_if(peers_.begin(), peers_.end(),
                                   [&](const Peer& item) { return item.socket.get() == fd; });
    if (peer != peers_.end()) answer(peer);
  }
  forget_idle();
}

void Relay::listen_again(std::uint32_t events) {
  is_full_ = events == 0;
  for (const Port& port : ports_) {
    if (port.protocol == Protocol::kUdp) continue;
    epoll_event event = {.events = events, .data = {.fd = port.socket}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, port.socket, &event);
  }
}

void Relay::accept_one(Port& port) {
  Connection connection;
  connection.client.reset(accept4(port.socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!connection.client) return;
  connection.container.reset(
      socket(port.container.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!connection.container || !connection.forth.open() || !connection.back.open()) return;
  if (connect(connection.container.get(), port.container.get(), port.container.size()) != 0 &&
      errno != EINPROGRESS) {
    return;
  }
  const int on = 1;
  setsockopt(connection.client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(connection.container.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Both edges: what is not taken now comes again with the next change on either side.
  watch(connection.client.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  watch(connection.container.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  connections_.push_back(std::move(connection));
  if (connections_.size() >= kMostConnections) listen_again(0);
}

void Relay::carry(std::list<Connection>::iterator connection) {
  const int client = connection->client.get();
  const int container = connection->container.get();
  bool is_open = true;
  if (!connection->is_connected) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(container, SOL_SOCKET, SO_ERROR, &error, &size);
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    if (error == 0 && getpeername(container, reinterpret_cast<sockaddr*>(&name), &length) != 0) {
      return;  // still on its way
    }
    is_open = error == 0;
    connection->is_connected = is_open;
  }
  is_open = is_open && connection->forth.carry(client, container) &&
            connection->back.carry(container, client);
  if (is_open && !(connection->forth.is_passed && connection->back.is_passed)) return;
  connections_.erase(connection);
  if (is_full_) listen_again(EPOLLIN);
}

void Relay::take_datagrams(Port& port) {
  static std::array<std::uint8_t, 65536> buffer;
  for (int i = 0; i < kAtOnce; ++i) {
    SocketAddress client;
    const ssize_t size = client.receive(port.socket, buffer);
    if (size < 0) return;
    auto peer = std::find_if(peers_.begin(), peers_.end(), [&](const Peer& item) {
      return item.port == port.socket && item.client == client;
    });
    if (peer == peers_.end()) {
      if (peers_.size() >= kMostPeers) peers_.pop_front();
      Peer made{.port = port.socket, .client = client, .socket = {}, .last = 0};
      made.socket.reset(
          socket(port.container.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!made.socket ||
          connect(made.socket.get(), port.container.get(), port.container.size()) != 0) {
        continue;
      }
      watch(made.socket.get(), EPOLLIN);
      peers_.push_back(std::move(made));
      peer = std::prev(peers_.end());
    }
    peer->last = monotonic_now();
    static_cast<void>(
        send(peer->socket.get(), buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL));
  }
}

void Relay::answer(std::list<Peer>::iterator peer) {
  static std::array<std::uint8_t, 65536> buffer;
  for (int i = 0; i < kAtOnce; ++i) {
    const ssize_t size = recv(peer->socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return;  // ECONNREFUSED too: the container may listen later
    peer->last = monotonic_now();
    static_cast<void>(sendto(peer->port, buffer.data(), static_cast<std::size_t>(size), 0,
                             peer->client.get(), peer->client.size()));
  }
}

// Looked at when there is traffic: without any there is nothing that they keep from others.
void Relay::forget_idle() {
  const base::Nanoseconds now = monotonic_now();
  std::erase_if(peers_, [&](const Peer& peer) { return now - peer.last > kPeerPatience; });
}

}  // namespace network
