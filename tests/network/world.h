// World: a "host" network namespace with containers on its bridge and another host beside it, and
// real sockets in all of them.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/unique_fd.h"
#include "network/bridge.h"
#include "network/link.h"
#include "network/namespace.h"
#include "network/netlink.h"

namespace network_test {

using base::UniqueFd;
using network::BridgeConfig;
using network::Endpoint;
using network::Ipv4;
using network::Ipv4Subnet;
using network::Protocol;
using network::PublishedPort;

constexpr int kPatience = 2000;   // milliseconds for what must arrive
constexpr int kImpatience = 250;  // for what must not

inline UniqueFd current_network() { return base::open_file("/proc/self/ns/net", O_RDONLY); }

inline ino_t current_network_inode() {
  struct stat status {};
  base::check(stat("/proc/self/ns/net", &status), "stat");
  return status.st_ino;
}

// A new, empty network namespace; the caller stays where it is.
inline UniqueFd new_network() {
  const UniqueFd home = current_network();
  base::check(unshare(CLONE_NEWNET), "unshare");
  UniqueFd made = current_network();
  base::check(setns(home.get(), CLONE_NEWNET), "setns");
  return made;
}

inline void write_setting(const std::string& file, const std::string& value) {
  std::ofstream(file) << value;
}
inline std::string read_setting(const std::string& file) {
  std::string value;
  std::ifstream(file) >> value;
  return value;
}

inline sockaddr_in socket_address(Ipv4 address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = htonl(address.bits);
  result.sin_port = htons(port);
  return result;
}

inline bool wait_readable(const UniqueFd& fd, int milliseconds) {
  pollfd entry{fd.get(), POLLIN, 0};
  return poll(&entry, 1, milliseconds) == 1;
}

inline int type_of(Protocol protocol) {
  return protocol == Protocol::kUdp ? SOCK_DGRAM : SOCK_STREAM;
}

// A socket that lives in the namespace `netns`, bound there; TCP listens.
inline UniqueFd serve(int netns, Protocol protocol, Ipv4 address, std::uint16_t port) {
  const network::InsideNetwork inside(netns);
  UniqueFd fd(socket(AF_INET, type_of(protocol) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in name = socket_address(address, port);
  base::check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), "bind");
  if (protocol == Protocol::kTcp) base::check(listen(fd.get(), 16), "listen");
  return fd;
}

inline std::string text_of(const sockaddr_in& address) {
  return Ipv4{ntohl(address.sin_addr.s_addr)}.str();
}

// What the server saw as the client's address, once a word went there and another came back;
// nullopt where that did not happen in time.
inline std::optional<std::string> talk_tcp(const UniqueFd& client, const UniqueFd& server,
                                           int patience) {
  if (!wait_readable(server, patience)) return {};
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  const UniqueFd accepted(accept(server.get(), reinterpret_cast<sockaddr*>(&peer), &size));
  if (!accepted || write(accepted.get(), "hello", 5) != 5) return {};
  std::array<char, 8> word{};
  if (!wait_readable(client, patience) || read(client.get(), word.data(), word.size()) != 5)
    return {};
  if (write(client.get(), "bye", 3) != 3 || !wait_readable(accepted, patience)) return {};
  if (read(accepted.get(), word.data(), word.size()) != 3) return {};
  return text_of(peer);
}

inline std::optional<std::string> talk_udp(const UniqueFd& client, const UniqueFd& server,
                                           int patience) {
  if (write(client.get(), "bye", 3) != 3 || !wait_readable(server, patience)) return {};
  std::array<char, 8> word{};
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  auto* const name = reinterpret_cast<sockaddr*>(&peer);
  if (recvfrom(server.get(), word.data(), word.size(), 0, name, &size) != 3) return {};
  if (sendto(server.get(), "hello", 5, 0, name, size) != 5) return {};
  // The client's socket is connected: an answer from any other address would not arrive.
  if (!wait_readable(client, patience) || read(client.get(), word.data(), word.size()) != 5)
    return {};
  return text_of(peer);
}

struct Target {
  Ipv4 address;
  std::uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::uint16_t client_port = 0;  // 0: any
};

inline std::optional<std::string> talk(int client_netns, const Target& target,
                                       const UniqueFd& server, int patience = kPatience) {
  const network::InsideNetwork inside(client_netns);
  const UniqueFd client(
      socket(AF_INET, type_of(target.protocol) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr_in own = socket_address({0}, target.client_port);
  base::check(bind(client.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), "bind");
  const sockaddr_in name = socket_address(target.address, target.port);
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
      errno != EINPROGRESS) {
    return {};
  }
  return target.protocol == Protocol::kUdp ? talk_udp(client, server, patience)
                                           : talk_tcp(client, server, patience);
}

struct Machine {
  Endpoint endpoint;
  UniqueFd network;
  int fd() const { return network.get(); }
};

// Every test stands in a host of its own, which the kernel takes away with the last descriptor.
class World : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
    base::check(unshare(CLONE_NEWNET), "unshare");
    host_ = current_network();
    network::bring_up_loopback(host_.get());
    config_.subnet = Ipv4Subnet::parse("10.208.0.0/16");
    config_.gateway = config_.subnet.first_host();
  }

  // A bridge that only stands for a cable: the host's 198.51.100.1 and its neighbours.
  void add_outside() {
    cable_.bridge = "cable0";
    cable_.subnet = Ipv4Subnet::parse("198.51.100.0/24");
    cable_.gateway = Ipv4::parse("198.51.100.1");
    network::Netlink route(network::Netlink::Bus::kRoute);
    apply(route, network::create_bridge_step(cable_));
    apply(route, network::bridge_address_step(cable_, link_index("cable0")));
    other_host_.endpoint = endpoint("0123456789abcdef", Ipv4::parse("198.51.100.2"));
    other_host_.network = new_network();
    network::connect(cable_, other_host_.endpoint, other_host_.fd());
  }

  static void apply(network::Netlink& route, const network::Step& step) {
    route.apply(std::span(&step, 1));
  }

  static int link_index(const std::string& name) {
    network::Netlink route(network::Netlink::Bus::kRoute);
    const auto answer = route.ask(network::find_link_request(name));
    return answer.messages.empty() ? 0 : network::parse_link(answer.messages.front()).index;
  }

  static Endpoint endpoint(const std::string& id, Ipv4 address,
                           std::vector<PublishedPort> ports = {}) {
    return {.container_id = id,
            .address = address,
            .mac = network::mac_of(address),
            .interface_name = "eth0",
            .ports = std::move(ports)};
  }

  // 64 digits, as real ones.
  static std::string id_of(unsigned number) {
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", number);
    std::string id;
    for (int i = 0; i < 8; ++i) id += digits.data();
    return id;
  }

  Ipv4 address_of(unsigned number) const { return {config_.subnet.base.bits + 1 + number}; }

  // Connected and published, like the engine does it. `number` starts at 1.
  Machine start(unsigned number, std::vector<PublishedPort> ports = {}) {
    network::ensure_bridge(config_);
    Machine machine{endpoint(id_of(number), address_of(number), std::move(ports)), new_network()};
    network::connect(config_, machine.endpoint, machine.fd());
    network::publish(config_, machine.endpoint);
    return machine;
  }

  BridgeConfig config_;
  BridgeConfig cable_;
  UniqueFd host_;
  Machine other_host_;
};

}  // namespace network_test
