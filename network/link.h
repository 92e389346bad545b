// Links, addresses and routes as rtnetlink messages: pure builders, and readers of the answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "network/bridge.h"
#include "network/message.h"

namespace network {

constexpr int kLoopbackIndex = 1;  // LOOPBACK_IFINDEX of the kernel, in every namespace

std::string host_link_name(const Endpoint& endpoint);  // throws kInvalid

// "create bridge sampan0": idempotent; also brings an existing one up.
Step create_bridge_step(const BridgeConfig& config);
Step bridge_address_step(const BridgeConfig& config, int bridge_index);
Step delete_bridge_step(const BridgeConfig& config);

Step bridge_address6_step(const BridgeConfig& config, int bridge_index);
// The tunnel as a port of the bridge, and its peers.
Step create_tunnel_step(const BridgeConfig& config, int bridge_index);
std::vector<Step> tunnel_peer_steps(const BridgeConfig& config, int tunnel_index);
std::string tunnel_name(const BridgeConfig& config);  // "vx-" and the end of the bridge's
Step create_dummy_step(const std::string& name);
Step delete_link_step(const std::string& name);
// macvlan or ipvlan.
Step create_child_step(const BridgeConfig& config, const Endpoint& endpoint, int parent_index,
                       int netns_fd);

// The pair; hairpin mode for the port where ports are published; a port of its own where the
// containers must not talk to each other.
std::vector<Step> veth_steps(const BridgeConfig& config, const Endpoint& endpoint, int bridge_index,
                             int netns_fd);
// Inside the container: lo up, eth0 up, address, default route.
// The default routes are last.
std::vector<Step> container_steps(const BridgeConfig& config, const Endpoint& endpoint,
                                  int link_index);
Step loopback_step();

Bytes find_link_request(std::string_view name);
Bytes find_route_request(Ipv4 address);
Bytes list_addresses_request();
Bytes list_routes_request();

struct LinkState {
  int index = 0;
  std::string kind;  // "bridge"
  bool is_up = false;
  bool forwards = false;         // net.ipv4.conf.<link>.forwarding
  bool routes_localnet = false;  // net.ipv4.conf.<link>.route_localnet
};
LinkState parse_link(ByteSpan message);

// Whether the answer to find_route_request() says: an address of this link.
bool is_local_address_of(ByteSpan route, int link_index);

// The network of an RTM_NEWADDR or RTM_NEWROUTE; nullopt where it says nothing about who may use
// which address: other families, default routes.
std::optional<Ipv4Subnet> parse_network(ByteSpan message);

}  // namespace network
