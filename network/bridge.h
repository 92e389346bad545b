// Bridge: a host bridge with veth pairs and published ports, planned as data and applied through
// netlink and nftables.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "network/address.h"

namespace network {

enum class LinkKind : std::uint8_t {
  kBridge,   // a bridge of ours with a veth pair for each container
  kMacvlan,  // the containers' links are children of `parent`: they are its network's hosts
  kIpvlan,
};

// A bridge that goes on on other machines, over UDP to each of them.
struct VxlanTunnel {
  std::uint32_t id = 0;  // 24 bits
  std::uint16_t port = 4789;
  std::optional<IpAddress> local;  // the address of ours that the others know
  std::vector<IpAddress> peers;
  friend bool operator==(const VxlanTunnel&, const VxlanTunnel&) = default;
};

// Whether what arrives from other hosts for a published port passes the host's own rules for
// incoming packets (ufw): kObey leaves it to them, and to a relay behind the port's socket.
enum class HostFilter : std::uint8_t { kPassBy, kObey };

// One network. Names are derived from the store, so that two stores in one network namespace never
// share a bridge or a table.
struct BridgeConfig {
  std::string bridge = "sampan0";  // at most 15 bytes
  std::string table = "sampan";    // nftables, family inet
  Ipv4Subnet subnet;               // choose_subnet(list_host_networks())
  Ipv4 gateway;                    // the bridge's own address
  int mtu = 1500;
  std::optional<Ipv6Subnet> subnet6;
  Ipv6 gateway6;
  LinkKind kind = LinkKind::kBridge;
  std::string parent;                            // of kMacvlan and kIpvlan
  std::optional<VxlanTunnel> vxlan;              // of kBridge
  bool internal = false;                         // nothing but its own containers and the host
  bool masquerade = true;                        // what leaves has the host's address
  bool icc = true;                               // its containers talk to each other
  HostFilter host_filter = HostFilter::kPassBy;  // the same for all networks of a store
};

enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };

struct PublishedPort {
  IpAddress host_address;  // 0.0.0.0 or ::: any
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::uint16_t host_port_last = 0;  // before it is reserved: any from host_port to this one
  friend bool operator==(const PublishedPort&, const PublishedPort&) = default;
};

struct Endpoint {
  std::string container_id;  // names the host's end: "ve" and 11 digits of it
  Ipv4 address;
  std::array<std::uint8_t, 6> mac{};  // 02:42 and the address, as docker's
  std::string interface_name = "eth0";
  std::optional<Ipv6> address6;
  bool has_default_route = true;  // one of a container's endpoints has it
  std::vector<PublishedPort> ports;
};

// One message for the kernel: what `run --explain` prints and a failed step is named after.
struct Step {
  std::string text;  // "create veth ve3f… with peer eth0 in the container, port of sampan0"
  std::vector<std::uint8_t> message;  // netlink bytes where they are known in advance
};

struct NetworkPlan {
  std::vector<Step> bridge;    // made or checked on first use
  std::vector<Step> endpoint;  // per container
  std::vector<Step> ports;     // one nftables batch
};
NetworkPlan plan_endpoint(const BridgeConfig& config, const Endpoint& endpoint);

// The first of the candidate networks that overlaps none of these: 10.208.0.0/16 and up, away from
// where docker, podman and Kubernetes start; then docker's from the far end, then /24 ones. Throws
// kConflict where none is free.
Ipv4Subnet choose_subnet(const std::vector<Ipv4Subnet>& taken);
// Every network that the current network namespace has an address in or a route to, in any table;
// default routes (also in halves, as VPNs install them) do not count.
std::vector<Ipv4Subnet> list_host_networks();

// Makes what is missing: bridge with address, settings, table, chains, rules, maps. Cheap when all
// is there (two questions, no dump, 0.06 ms). Repairs what somebody took away. Safe to run from
// several processes at once. After somebody deleted the whole table (nft flush ruleset) sets and
// maps are empty: what `running` lists, which is asked only then, is put back in the transaction
// that makes the table, so that no kill leaves a table without its ports. An element that exists
// for another container stays that one's.
struct Connected {
  BridgeConfig config;
  Endpoint endpoint;
};
using ListEndpoints = std::function<std::vector<Connected>()>;
void ensure_bridge(const BridgeConfig& config, const ListEndpoints& running = {});

// As ensure_bridge(), for commands that connect nobody: does nothing where this network namespace
// does not have the bridge.
void restore_firewall(const BridgeConfig& config, const ListEndpoints& running);

// Creates the veth pair with its far end in the container's network namespace (an nsfs descriptor)
// and configures that end (lo up, address, default route). The caller's namespace is the host's;
// its only thread is inside the container's for a moment. Throws kConflict where the first 11
// digits of the id are another running container's. A pair that is only half configured dies with
// the container's namespace, like any other: there is no disconnect().
void connect(const BridgeConfig& config, const Endpoint& endpoint, int netns_fd);

// Takes the endpoint's link away again, with its addresses and routes; one that is gone is no
// error.
void disconnect(const Endpoint& endpoint, int netns_fd);
// The default route goes this way from now on.
void route_by_default(const BridgeConfig& config, const Endpoint& endpoint, int netns_fd);

// Only brings `lo` up in there: --network none.
void bring_up_loopback(int netns_fd);

// Elements of the maps, in one transaction: all ports or none. publish throws kConflict in docker's
// words where an element exists for another container, and does nothing where it exists for this
// one. It sees only this table: the caller holds a socket bound to each port, so that the host's
// own programs, and 0.0.0.0 beside a single address, are noticed. unpublish forgives what is
// already gone and leaves alone what has become another container's. UDP flows of the ports are
// forgotten by connection tracking both times (0.4 ms, depending on the machine's table).
void publish(const BridgeConfig& config, const Endpoint& endpoint);
void unpublish(const BridgeConfig& config, const Endpoint& endpoint);

// What the maps hold now: a sweep removes what no running container owns.
std::vector<Endpoint> list_published(const BridgeConfig& config);

// Removes the bridge and what the table has of it. Containers must be gone.
void remove_network(const BridgeConfig& config);
// Removes bridge and table: tests and `system` commands. Containers must be gone.
void remove_bridge(const BridgeConfig& config);

}  // namespace network
