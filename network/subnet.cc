#include <algorithm>

#include "base/error.h"
#include "network/bridge.h"
#include "network/link.h"
#include "network/netlink.h"

namespace network {
namespace {

// In the order of preference. podman takes 10.88.0.0/16 and goes up from there; docker takes
// 172.17.0.0/16 and goes up, then 192.168.0.0/20; Kubernetes likes 10.96, 10.244, 10.42 and 10.43.
// Ours start away from those, and follow docker's from its far end.
std::vector<Ipv4Subnet> candidates() {
  const auto network = [](std::uint32_t a, std::uint32_t b, std::uint32_t c, int prefix) {
    return Ipv4Subnet{{a << 24U | b << 16U | c << 8U}, prefix};
  };
  std::vector<Ipv4Subnet> list;
  for (std::uint32_t b = 208; b <= 223; ++b) list.push_back(network(10, b, 0, 16));
  for (std::uint32_t b = 31; b >= 17; --b) list.push_back(network(172, b, 0, 16));
  for (std::uint32_t c = 255; c >= 128; --c) list.push_back(network(192, 168, c, 24));
  for (std::uint32_t c = 0; c <= 255; ++c) list.push_back(network(10, 224, c, 24));
  return list;
}

}  // namespace

Ipv4Subnet choose_subnet(const std::vector<Ipv4Subnet>& taken) {
  for (const Ipv4Subnet& candidate : candidates()) {
    const auto collides = [&](const Ipv4Subnet& other) { return candidate.overlaps(other); };
    if (std::none_of(taken.begin(), taken.end(), collides)) return candidate;
  }
  throw base::Error(base::ErrorKind::kConflict,
                    "no subnet for the bridge: every candidate overlaps an address or a route of "
                    "this host");
}

std::vector<Ipv4Subnet> list_host_networks() {
  Netlink route(Netlink::Bus::kRoute);
  std::vector<Ipv4Subnet> networks;
  for (const Bytes& request : {list_addresses_request(), list_routes_request()}) {
    for (const Bytes& message : route.dump(request, "list addresses and routes")) {
      if (const auto network = parse_network(message)) networks.push_back(*network);
    }
  }
  std::sort(networks.begin(), networks.end());
  networks.erase(std::unique(networks.begin(), networks.end()), networks.end());
  return networks;
}

}  // namespace network
