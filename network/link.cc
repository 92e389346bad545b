#include "network/link.h"

#include <arpa/inet.h>
#include <cstring>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "base/error.h"

namespace network {
namespace {

constexpr std::size_t kIdDigits = 11;  // "ve" + 11 fits IFNAMSIZ with room to spare
// Networks shorter than this are a default route in pieces, as VPNs install it (0.0.0.0/1 and
// 128.0.0.0/1): they cover half of all addresses and say nothing about a conflict.
constexpr int kShortestRealPrefix = 4;

ifinfomsg link_header(int index, unsigned flags, unsigned change) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = change;
  return header;
}

Step link_up_step(std::string text, int index) {
  return {std::move(text), Message(RTM_NEWLINK, 0, link_header(index, IFF_UP, IFF_UP)).finish()};
}

Step address_step(std::string text, int index, Ipv4 address, const Ipv4Subnet& subnet) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = static_cast<std::uint8_t>(subnet.prefix);
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  header.ifa_index = static_cast<std::uint32_t>(index);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.address(IFA_LOCAL, address)
      .address(IFA_ADDRESS, address)
      .address(IFA_BROADCAST, subnet.broadcast());
  return {std::move(text), message.finish()};
}

Step address6_step(std::string text, int index, const Ipv6& address, int prefix) {
  ifaddrmsg header{};
  header.ifa_family = AF_INET6;
  header.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  // We give addresses out: nobody has to be asked for a second whether it is taken.
  header.ifa_flags = IFA_F_NODAD;
  header.ifa_index = static_cast<std::uint32_t>(index);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.bytes(IFA_LOCAL, address.bytes).bytes(IFA_ADDRESS, address.bytes);
  return {std::move(text), message.finish()};
}

Step default_route6_step(const Ipv6& gateway, const std::string& interface_name, int link_index) {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.bytes(RTA_GATEWAY, gateway.bytes).u32(RTA_OIF, static_cast<std::uint32_t>(link_index));
  return {"in the container: default route via " + gateway.str() + " dev " + interface_name,
          message.finish()};
}

Step default_route_step(Ipv4 gateway, const std::string& interface_name, int link_index) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, header);
  message.address(RTA_GATEWAY, gateway).u32(RTA_OIF, static_cast<std::uint32_t>(link_index));
  return {"in the container: default route via " + gateway.str() + " dev " + interface_name,
          message.finish()};
}

// The far end is made inside the container's namespace from the start: moving a link there later
// would wait for an RCU grace period. It can't be made up: its peer does not exist yet.
void put_peer(Message& message, const BridgeConfig& config, const Endpoint& endpoint,
              int netns_fd) {
  const ifinfomsg peer = link_header(0, 0, 0);
  message.nest_after(VETH_INFO_PEER, bytes_of(peer), [&](Message& inner) {
    inner.text(IFLA_IFNAME, endpoint.interface_name)
        .bytes(IFLA_ADDRESS, endpoint.mac)
        .u32(IFLA_MTU, static_cast<std::uint32_t>(config.mtu))
        .u32(IFLA_NUM_TX_QUEUES, 1)
        .u32(IFLA_NUM_RX_QUEUES, 1)
        .u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  });
}

Step create_veth_step(const BridgeConfig& config, const Endpoint& endpoint, int bridge_index,
                      int netns_fd) {
  const std::string name = host_link_name(endpoint);
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, IFF_UP, IFF_UP));
  message.text(IFLA_IFNAME, name)
      .u32(IFLA_MTU, static_cast<std::uint32_t>(config.mtu))
      .u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge_index))
      // One queue: a veth's queues only matter to XDP, and each costs sysfs entries on both sides.
      .u32(IFLA_NUM_TX_QUEUES, 1)
      .u32(IFLA_NUM_RX_QUEUES, 1)
      .nest(IFLA_LINKINFO, [&](Message& info) {
        info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](Message& data) {
          put_peer(data, config, endpoint, netns_fd);
        });
      });
  return {"create veth " + name + " with peer " + endpoint.interface_name + " (" +
              format_mac(endpoint.mac) + ") in the container, port of " + config.bridge,
          message.finish()};
}

// A container that talks to its own published port gets its packets back out of the port they came
// in by; bridges drop those unless the port is in hairpin mode (br_netfilter only). Isolated ports
// reach only those that are not: the host's side.
Step port_step(const BridgeConfig& config, const Endpoint& endpoint) {
  const std::string name = host_link_name(endpoint);
  const bool hairpin = !endpoint.ports.empty();
  Message message(RTM_NEWLINK, 0, link_header(0, 0, 0));
  message.text(IFLA_IFNAME, name).nest(IFLA_LINKINFO, [&](Message& info) {
    info.text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [&](Message& data) {
      if (hairpin) data.u8(IFLA_BRPORT_MODE, 1);
      if (!config.icc) data.u8(IFLA_BRPORT_ISOLATED, 1);
    });
  });
  const std::string what =
      hairpin ? (config.icc ? "hairpin mode on" : "hairpin mode and isolation on") : "isolation on";
  return {what + " port " + name + " of " + config.bridge, message.finish()};
}

// u32 number `index` of an array attribute; 0 where it is too short.
std::uint32_t array_value(ByteSpan array, std::size_t index) {
  std::uint32_t value = 0;
  if (array.size() >= (index + 1) * sizeof value) {
    std::memcpy(&value, array.data() + index * sizeof value, sizeof value);
  }
  return value;
}

Ipv4 address_in(ByteSpan value) {
  std::uint32_t bits = 0;
  if (value.size() >= sizeof bits) std::memcpy(&bits, value.data(), sizeof bits);
  return {ntohl(bits)};
}

}  // namespace

std::string host_link_name(const Endpoint& endpoint) {
  const std::string digits = endpoint.container_id.substr(0, kIdDigits);
  if (digits.empty() || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "invalid container id \"" + endpoint.container_id + "\"");
  }
  return "ve" + digits;
}

Step create_bridge_step(const BridgeConfig& config) {
  // A fixed address: otherwise the bridge takes the lowest of its ports', and every container that
  // comes or goes would outdate what the others know about their gateway.
  Message message(RTM_NEWLINK, NLM_F_CREATE, link_header(0, IFF_UP, IFF_UP));
  message.text(IFLA_IFNAME, config.bridge)
      .bytes(IFLA_ADDRESS, mac_of(config.gateway))
      .u32(IFLA_MTU, static_cast<std::uint32_t>(config.mtu))
      .nest(IFLA_LINKINFO, [](Message& info) { info.text(IFLA_INFO_KIND, "bridge"); });
  return {"create bridge " + config.bridge, message.finish()};
}

Step bridge_address_step(const BridgeConfig& config, int bridge_index) {
  return address_step("address " + config.gateway.str() + "/" +
                          std::to_string(config.subnet.prefix) + " on " + config.bridge,
                      bridge_index, config.gateway, config.subnet);
}

Step delete_bridge_step(const BridgeConfig& config) {
  return {"delete bridge " + config.bridge, delete_link_step(config.bridge).message};
}

Step delete_link_step(const std::string& name) {
  Message message(RTM_DELLINK, 0, link_header(0, 0, 0));
  return {"delete link " + name, message.text(IFLA_IFNAME, name).finish()};
}

Step bridge_address6_step(const BridgeConfig& config, int bridge_index) {
  return address6_step("address " + config.gateway6.str() + "/" +
                           std::to_string(config.subnet6->prefix) + " on " + config.bridge,
                       bridge_index, config.gateway6, config.subnet6->prefix);
}

std::string tunnel_name(const BridgeConfig& config) {
  const std::size_t dash = config.bridge.find('-');
  return "vx-" + config.bridge.substr(dash == std::string::npos ? 0 : dash + 1, IFNAMSIZ - 4);
}

Step create_tunnel_step(const BridgeConfig& config, int bridge_index) {
  const VxlanTunnel& tunnel = *config.vxlan;
  const std::string name = tunnel_name(config);
  Message message(RTM_NEWLINK, NLM_F_CREATE, link_header(0, IFF_UP, IFF_UP));
  message.text(IFLA_IFNAME, name)
      .u32(IFLA_MTU, static_cast<std::uint32_t>(config.mtu))
      .u32(IFLA_MASTER, static_cast<std::uint32_t>(bridge_index))
      .nest(IFLA_LINKINFO, [&](Message& info) {
        info.text(IFLA_INFO_KIND, "vxlan").nest(IFLA_INFO_DATA, [&](Message& data) {
          data.u32(IFLA_VXLAN_ID, tunnel.id).u16(IFLA_VXLAN_PORT, htons(tunnel.port));
          if (!tunnel.local) return;
          if (tunnel.local->is_v6()) {
            data.bytes(IFLA_VXLAN_LOCAL6, tunnel.local->v6().bytes);
          } else {
            data.address(IFLA_VXLAN_LOCAL, tunnel.local->v4());
          }
        });
      });
  return {"create vxlan " + name + " (" + std::to_string(tunnel.id) + "), port of " + config.bridge,
          message.finish()};
}

// The all-zero address stands for every frame whose receiver is not known yet: it is sent to all
// peers, and what comes back teaches the rest. See bridge(8).
std::vector<Step> tunnel_peer_steps(const BridgeConfig& config, int tunnel_index) {
  std::vector<Step> steps;
  for (const IpAddress& peer : config.vxlan->peers) {
    ndmsg header{};
    header.ndm_family = AF_BRIDGE;
    header.ndm_ifindex = tunnel_index;
    header.ndm_state = NUD_PERMANENT | NUD_NOARP;
    header.ndm_flags = NTF_SELF;
    const std::array<std::uint8_t, 6> everybody{};
    Message message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, header);
    message.bytes(NDA_LLADDR, everybody);
    if (peer.is_v6()) {
      message.bytes(NDA_DST, peer.v6().bytes);
    } else {
      message.address(NDA_DST, peer.v4());
    }
    steps.push_back({"peer " + peer.str() + " of " + tunnel_name(config), message.finish()});
  }
  return steps;
}

Step create_dummy_step(const std::string& name) {
  Message message(RTM_NEWLINK, NLM_F_CREATE, link_header(0, IFF_UP, IFF_UP));
  message.text(IFLA_IFNAME, name).nest(IFLA_LINKINFO, [](Message& info) {
    info.text(IFLA_INFO_KIND, "dummy");
  });
  return {"create dummy " + name, message.finish()};
}

Step create_child_step(const BridgeConfig& config, const Endpoint& endpoint, int parent_index,
                       int netns_fd) {
  const bool is_macvlan = config.kind == LinkKind::kMacvlan;
  const std::string kind = is_macvlan ? "macvlan" : "ipvlan";
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, 0, 0));
  message.text(IFLA_IFNAME, endpoint.interface_name)
      .u32(IFLA_LINK, static_cast<std::uint32_t>(parent_index))
      .u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  if (is_macvlan) message.bytes(IFLA_ADDRESS, endpoint.mac);
  message.nest(IFLA_LINKINFO, [&](Message& info) {
    info.text(IFLA_INFO_KIND, kind).nest(IFLA_INFO_DATA, [&](Message& data) {
      if (is_macvlan) {
        data.u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
      } else {
        data.u16(IFLA_IPVLAN_MODE, IPVLAN_MODE_L2);
      }
    });
  });
  return {"create " + kind + " " + endpoint.interface_name + " in the container, child of " +
              config.parent,
          message.finish()};
}

std::vector<Step> veth_steps(const BridgeConfig& config, const Endpoint& endpoint, int bridge_index,
                             int netns_fd) {
  std::vector<Step> steps{create_veth_step(config, endpoint, bridge_index, netns_fd)};
  if (!endpoint.ports.empty() || !config.icc) steps.push_back(port_step(config, endpoint));
  return steps;
}

Step loopback_step() { return link_up_step("in the container: lo up", kLoopbackIndex); }

std::vector<Step> container_steps(const BridgeConfig& config, const Endpoint& endpoint,
                                  int link_index) {
  const std::string& name = endpoint.interface_name;
  std::vector<Step> steps{loopback_step(),
                          link_up_step("in the container: " + name + " up", link_index),
                          address_step("in the container: address " + endpoint.address.str() + "/" +
                                           std::to_string(config.subnet.prefix) + " on " + name,
                                       link_index, endpoint.address, config.subnet)};
  const bool has_v6 = endpoint.address6 && config.subnet6;
  if (has_v6) {
    steps.push_back(address6_step("in the container: address " + endpoint.address6->str() + "/" +
                                      std::to_string(config.subnet6->prefix) + " on " + name,
                                  link_index, *endpoint.address6, config.subnet6->prefix));
  }
  if (!endpoint.has_default_route || config.internal) return steps;
  if (config.gateway.bits != 0) {
    steps.push_back(default_route_step(config.gateway, name, link_index));
  }
  if (has_v6 && config.gateway6 != Ipv6{}) {
    steps.push_back(default_route6_step(config.gateway6, name, link_index));
  }
  return steps;
}

Bytes find_link_request(std::string_view name) {
  return Message(RTM_GETLINK, 0, link_header(0, 0, 0))
      .text(IFLA_IFNAME, name)
      .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
      .finish();
}

Bytes find_route_request(Ipv4 address) {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 32;
  header.rtm_flags = RTM_F_FIB_MATCH;
  return Message(RTM_GETROUTE, 0, header).address(RTA_DST, address).finish();
}

Bytes list_addresses_request() {
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  return Message(RTM_GETADDR, NLM_F_DUMP, header).finish();
}

Bytes list_routes_request() {
  rtmsg header{};  // table 0: all of them
  header.rtm_family = AF_INET;
  return Message(RTM_GETROUTE, NLM_F_DUMP, header).finish();
}

LinkState parse_link(ByteSpan message) {
  const auto header = header_of<ifinfomsg>(message);
  const AttributeList attributes = AttributeList::of_message(message, sizeof header);
  const ByteSpan settings =
      attributes.find_nest(IFLA_AF_SPEC).find_nest(AF_INET).find(IFLA_INET_CONF);
  return {.index = header.ifi_index,
          .kind = std::string(attributes.find_nest(IFLA_LINKINFO).text(IFLA_INFO_KIND)),
          .is_up = (header.ifi_flags & IFF_UP) != 0,
          .forwards = array_value(settings, IPV4_DEVCONF_FORWARDING - 1) != 0,
          .routes_localnet = array_value(settings, IPV4_DEVCONF_ROUTE_LOCALNET - 1) != 0};
}

bool is_local_address_of(ByteSpan route, int link_index) {
  const auto header = header_of<rtmsg>(route);
  const AttributeList attributes = AttributeList::of_message(route, sizeof header);
  return header.rtm_type == RTN_LOCAL &&
         attributes.u32(RTA_OIF) == static_cast<std::uint32_t>(link_index);
}

std::optional<Ipv4Subnet> parse_network(ByteSpan message) {
  nlmsghdr start{};
  if (message.size() < sizeof start) return {};
  std::memcpy(&start, message.data(), sizeof start);
  int prefix = 0;
  Ipv4 address;
  if (start.nlmsg_type == RTM_NEWADDR) {
    const auto header = header_of<ifaddrmsg>(message);
    if (header.ifa_family != AF_INET) return {};
    prefix = header.ifa_prefixlen;
    address = address_in(AttributeList::of_message(message, sizeof header).find(IFA_ADDRESS));
  } else if (start.nlmsg_type == RTM_NEWROUTE) {
    const auto header = header_of<rtmsg>(message);
    if (header.rtm_family != AF_INET) return {};
    prefix = header.rtm_dst_len;
    address = address_in(AttributeList::of_message(message, sizeof header).find(RTA_DST));
  }
  if (prefix < kShortestRealPrefix || prefix > 32) return {};
  Ipv4Subnet network{{0}, prefix};
  network.base.bits = address.bits & network.mask().bits;
  return network;
}

}  // namespace network
