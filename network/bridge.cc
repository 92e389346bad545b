#include "network/bridge.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/trace.h"
#include "network/elements.h"
#include "network/fingerprint.h"
#include "network/firewall.h"
#include "network/flows.h"
#include "network/link.h"
#include "network/namespace.h"
#include "network/netlink.h"
#include "network/plan.h"

namespace network {
namespace {

constexpr std::size_t kLongestTableName = 64;  // the kernel takes 255; our buffers are smaller

void check_config(const BridgeConfig& config) {
  const auto refuse = [](const std::string& text) {
    throw base::Error(base::ErrorKind::kInvalid, text);
  };
  const std::string& bridge = config.bridge;
  if (bridge.empty() || bridge.size() >= IFNAMSIZ || bridge == "." || bridge == ".." ||
      bridge.find_first_of("/: \t\n%") != std::string::npos) {
    refuse("invalid bridge name \"" + bridge + "\"");
  }
  if (config.table.empty() || config.table.size() > kLongestTableName) {
    refuse("invalid nftables table name \"" + config.table + "\"");
  }
  if (config.kind != LinkKind::kBridge) return;
  if (config.subnet.prefix < 8 || config.subnet.prefix > 30 ||
      !config.subnet.contains(config.gateway) || config.gateway == config.subnet.base ||
      config.gateway == config.subnet.broadcast()) {
    refuse("gateway " + config.gateway.str() + " is no host of subnet " + config.subnet.str());
  }
}

ifreq request_for(const std::string& link) {
  ifreq request{};
  std::memcpy(request.ifr_name, link.data(), std::min(link.size(), sizeof request.ifr_name - 1));
  return request;
}

// Any socket takes this ioctl; see netdevice(7).
int load_link_index(const Netlink& socket, const std::string& link) {
  ifreq request = request_for(link);
  base::check(ioctl(socket.fd(), SIOCGIFINDEX, &request), "find link " + link);
  return request.ifr_ifindex;
}

// Carrier changes reach a bridge through a work queue. Until it has run, the port drops what comes
// in, and a lost ARP request costs the container's first connection a second. Asking for the
// carrier does the pending work at once: ethtool_op_get_link() in the kernel. Where it can't, the
// work queue will do it.
void settle_carrier(const Netlink& socket, const std::string& link) {
  ethtool_value carrier{.cmd = ETHTOOL_GLINK, .data = 0};
  ifreq request = request_for(link);
  request.ifr_data = reinterpret_cast<char*>(&carrier);
  static_cast<void>(ioctl(socket.fd(), SIOCETHTOOL, &request));
}

bool is_link_in_place(Netlink& route, const BridgeConfig& config) {
  const std::vector<Bytes> requests{find_link_request(config.bridge),
                                    find_route_request(config.gateway)};
  const auto answers = route.ask(requests);
  if (answers[0].messages.empty() || answers[1].messages.empty()) return false;
  const LinkState link = parse_link(answers[0].messages.front());
  if (config.vxlan && route.ask(find_link_request(tunnel_name(config))).messages.empty()) {
    return false;
  }
  return link.kind == "bridge" && link.is_up && link.forwards && link.routes_localnet &&
         is_local_address_of(answers[1].messages.front(), link.index);
}

void make_tunnel(Netlink& route, const BridgeConfig& config) {
  const std::string name = tunnel_name(config);
  if (!route.ask(find_link_request(name)).messages.empty()) return;
  const std::vector<Step> create{create_tunnel_step(config, load_link_index(route, config.bridge))};
  route.apply(create);
  const std::vector<Step> peers = tunnel_peer_steps(config, load_link_index(route, name));
  route.apply(peers);
}

void make_link(Netlink& route, const BridgeConfig& config) {
  const auto existing = route.ask(find_link_request(config.bridge));
  if (!existing.messages.empty() && parse_link(existing.messages.front()).kind != "bridge") {
    throw base::Error(base::ErrorKind::kConflict,
                      "create bridge " + config.bridge + ": a link of that name exists");
  }
  const std::vector<Step> create{create_bridge_step(config)};
  route.apply(create);
  const std::vector<Step> address{
      bridge_address_step(config, load_link_index(route, config.bridge))};
  route.apply(address);
  for (const Setting& setting : bridge_settings(config)) apply_setting(setting);
  if (config.subnet6) {
    const std::vector<Step> address6{
        bridge_address6_step(config, load_link_index(route, config.bridge))};
    route.apply(address6);
  }
  if (config.vxlan) make_tunnel(route, config);
}

// A parent of the user's must be there; ours is a dummy, for containers among themselves.
void ensure_parent(const BridgeConfig& config) {
  Netlink route(Netlink::Bus::kRoute);
  if (!route.ask(find_link_request(config.parent)).messages.empty()) return;
  if (config.parent != config.bridge) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "parent interface " + config.parent + " of the network is not there");
  }
  const std::vector<Step> steps{create_dummy_step(config.parent)};
  route.apply(steps);
}

// What the host's end of a link is named by: the container's id, or, of its further links and of
// further attempts, 16 digits that mix all three.
std::string link_id(const Endpoint& endpoint, int attempt) {
  if (attempt == 0 && endpoint.interface_name == "eth0") return endpoint.container_id;
  Fingerprint mixed;
  mixed.add(endpoint.container_id + "/" + endpoint.interface_name + "/" + std::to_string(attempt));
  return mixed.str();
}

// Creates the pair and returns the host's end. A container that starts again at once may meet its
// own last pair, which the kernel takes away only after the namespace.
std::string make_pair(Netlink& route, const BridgeConfig& config, const Endpoint& endpoint,
                      int netns_fd) {
  constexpr int kAttempts = 8;
  const int bridge_index = load_link_index(route, config.bridge);
  host_link_name(endpoint);  // refuses an id that is none
  Endpoint named = endpoint;
  for (int attempt = 0;; ++attempt) {
    named.container_id = link_id(endpoint, attempt);
    const std::vector<Step> steps = veth_steps(config, named, bridge_index, netns_fd);
    const auto refusal = route.try_apply(steps);
    if (!refusal) return host_link_name(named);
    if (refusal->error != EEXIST || attempt + 1 == kAttempts) throw_refusal(steps, *refusal);
  }
}

bool is_network_in_place(Netlink& netfilter, const BridgeConfig& config) {
  const std::vector<Bytes> requests = find_network_requests(config);
  for (const Netlink::Answer& answer : netfilter.ask(requests)) {
    if (answer.messages.empty()) return false;
  }
  return true;
}

void append(std::vector<Step>& steps, std::vector<Step> more) {
  steps.insert(steps.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
}

void ensure_firewall(const BridgeConfig& config, const ListEndpoints& running) {
  Netlink netfilter(Netlink::Bus::kNetfilter);
  const Firewall firewall = plan_firewall(config);
  if (is_firewall_in_place(netfilter, config, firewall)) {
    if (!is_network_in_place(netfilter, config)) netfilter.commit(add_network_steps(config));
    return;
  }
  const base::TraceStep make("network", "make nftables table " + config.table);
  const std::vector<Connected> connected = running ? running() : std::vector<Connected>();
  std::vector<Step> elements = add_network_steps(config);
  for (const Connected& one : connected) {
    append(elements, add_network_steps(one.config));
    append(elements, publish_steps(one.config, one.endpoint));
  }
  apply_firewall(netfilter, config, firewall, std::move(elements));
  for (const Connected& one : connected) forget_flows(one.endpoint);
}

}  // namespace

void ensure_bridge(const BridgeConfig& config, const ListEndpoints& running) {
  const base::TraceStep trace("network", "ensure bridge " + config.bridge);
  check_config(config);
  if (config.kind != LinkKind::kBridge) return ensure_parent(config);
  Netlink route(Netlink::Bus::kRoute);
  if (!is_link_in_place(route, config)) {
    const base::TraceStep make("network", "make bridge " + config.bridge);
    make_link(route, config);
  }
  ensure_firewall(config, running);
}

void restore_firewall(const BridgeConfig& config, const ListEndpoints& running) {
  check_config(config);
  if (config.kind != LinkKind::kBridge) return;
  Netlink route(Netlink::Bus::kRoute);
  if (is_link_in_place(route, config)) ensure_firewall(config, running);
}

void connect(const BridgeConfig& config, const Endpoint& endpoint, int netns_fd) {
  const base::TraceStep trace("network", "connect " + endpoint.container_id);
  Netlink route(Netlink::Bus::kRoute);
  std::string host_link;
  if (config.kind == LinkKind::kBridge) {
    host_link = make_pair(route, config, endpoint, netns_fd);
  } else {
    const std::vector<Step> steps{
        create_child_step(config, endpoint, load_link_index(route, config.parent), netns_fd)};
    route.apply(steps);
  }
  const InsideNetwork inside(netns_fd);
  apply_setting(container_setting(endpoint));
  Netlink far(Netlink::Bus::kRoute);
  far.apply(container_steps(config, endpoint, load_link_index(far, endpoint.interface_name)));
  if (host_link.empty()) return;
  settle_carrier(route, host_link);  // `route` has stayed on the host's side
  settle_carrier(route, config.bridge);
}

void disconnect(const Endpoint& endpoint, int netns_fd) {
  const base::TraceStep trace("network", "disconnect " + endpoint.container_id);
  const InsideNetwork inside(netns_fd);
  const std::vector<Step> steps{delete_link_step(endpoint.interface_name)};
  const auto refusal = Netlink(Netlink::Bus::kRoute).try_apply(steps);
  if (refusal && refusal->error != ENODEV) throw_refusal(steps, *refusal);
}

void route_by_default(const BridgeConfig& config, const Endpoint& endpoint, int netns_fd) {
  const InsideNetwork inside(netns_fd);
  Netlink far(Netlink::Bus::kRoute);
  Endpoint routed = endpoint;
  routed.has_default_route = true;
  far.apply(container_steps(config, routed, load_link_index(far, endpoint.interface_name)));
}

void bring_up_loopback(int netns_fd) {
  const base::TraceStep trace("network", "bring up lo");
  const InsideNetwork inside(netns_fd);
  const std::vector<Step> steps{loopback_step()};
  Netlink(Netlink::Bus::kRoute).apply(steps);
}

void remove_network(const BridgeConfig& config) {
  const base::TraceStep trace("network", "remove network " + config.bridge);
  check_config(config);
  Netlink route(Netlink::Bus::kRoute);
  std::vector<std::string> links;
  if (config.vxlan) links.push_back(tunnel_name(config));
  if (config.kind == LinkKind::kBridge || config.parent == config.bridge) {
    links.push_back(config.bridge);
  }
  for (const std::string& link : links) {
    const std::vector<Step> steps{delete_link_step(link)};
    const auto refusal = route.try_apply(steps);
    if (refusal && refusal->error != ENODEV) throw_refusal(steps, *refusal);
  }
  if (config.kind != LinkKind::kBridge) return;
  Netlink netfilter(Netlink::Bus::kNetfilter);
  if (!is_network_in_place(netfilter, config)) return;
  std::vector<Step> steps = add_network_steps(config);  // so that all that goes is there
  append(steps, delete_network_steps(config));
  netfilter.commit(steps);
}

void remove_bridge(const BridgeConfig& config) {
  remove_network(config);
  Netlink netfilter(Netlink::Bus::kNetfilter);
  remove_firewall(netfilter, config);
}

}  // namespace network
