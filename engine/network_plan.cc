// What a `network create` asks for, as settings of a network.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "engine/bridge_network.h"
#include "engine/networks.h"

namespace engine {
namespace {

using network::IpAddress;
using network::Ipv4;
using network::Ipv4Subnet;
using network::Ipv6Subnet;

constexpr int kTunnelOverhead = 50;  // of VXLAN over IPv4 and Ethernet
constexpr std::size_t kBridgeDigits = 12;

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool is_v6(const std::string& text) { return text.find(':') != std::string::npos; }

int number_option(const std::string& key, const std::string& value, int lowest, int highest) {
  int number = -1;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < lowest ||
      number > highest) {
    refuse("invalid value for " + key + ": \"" + value + "\"");
  }
  return number;
}

bool truth_option(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  refuse("invalid value for " + key + ": \"" + value + "\"");
}

std::vector<IpAddress> address_list(const std::string& text) {
  std::vector<IpAddress> list;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    list.push_back(IpAddress::parse(text.substr(start, comma - start)));
    start = comma + 1;
  }
  return list;
}

void set_tunnel_option(NetworkSettings& settings, const std::string& key,
                       const std::string& value) {
  network::VxlanTunnel& tunnel = *settings.link.vxlan;
  if (key == "peers") {
    tunnel.peers = address_list(value);
  } else if (key == "vni" || key == "id") {
    tunnel.id = static_cast<std::uint32_t>(number_option(key, value, 1, (1 << 24) - 1));
  } else if (key == "port") {
    tunnel.port = static_cast<std::uint16_t>(number_option(key, value, 1, 65535));
  } else if (key == "local") {
    tunnel.local = IpAddress::parse(value);
  } else {
    refuse("unknown option " + key + " of the driver vxlan");
  }
}

// Options of docker's that name a fact of theirs only are kept for `inspect`.
void set_option(NetworkSettings& settings, const std::string& key, const std::string& value) {
  network::BridgeConfig& link = settings.link;
  constexpr std::string_view kBridgeOption = "com.docker.network.bridge.";
  if (key == "com.docker.network.driver.mtu" || key == "mtu") {
    link.mtu = number_option(key, value, 68, 65535);
  } else if (key == "parent" && link.kind != network::LinkKind::kBridge) {
    link.parent = value;
  } else if (key == std::string(kBridgeOption) + "name") {
    link.bridge = value;
  } else if (key == std::string(kBridgeOption) + "enable_icc") {
    link.icc = truth_option(key, value);
  } else if (key == std::string(kBridgeOption) + "enable_ip_masquerade") {
    link.masquerade = truth_option(key, value);
  } else if (key == std::string(kBridgeOption) + "host_binding_ipv4") {
    settings.host_address = Ipv4::parse(value).str();
  } else if (link.vxlan) {
    set_tunnel_option(settings, key, value);
  }
}

void set_driver(NetworkSettings& settings, const std::string& driver) {
  network::BridgeConfig& link = settings.link;
  if (driver == "macvlan" || driver == "ipvlan") {
    link.kind = driver == "macvlan" ? network::LinkKind::kMacvlan : network::LinkKind::kIpvlan;
    link.parent = link.bridge;  // a dummy of ours, unless an option names another
    link.masquerade = false;
  } else if (driver == "vxlan") {
    link.vxlan.emplace();
    link.mtu -= kTunnelOverhead;
  } else if (driver != "bridge" && driver != "cni") {
    throw base::Error(base::ErrorKind::kNotFound, "plugin \"" + driver + "\" not found");
  }
}

std::vector<Ipv4Subnet> taken_subnets(const std::vector<storage::NetworkRow>& others,
                                      const Config& config) {
  std::vector<Ipv4Subnet> taken = network::list_host_networks();
  for (const storage::NetworkRow& row : others) {
    if (row.driver == "host" || row.driver == "null") continue;
    const NetworkSettings settings = parse_network_settings(row, config);
    if (settings.cni.empty()) taken.push_back(settings.link.subnet);
  }
  return taken;
}

// Different hosts' networks may share a cable, so macvlan may lie over the host's own subnet.
void check_overlap(const NetworkSettings& settings, const Config& config,
                   const std::vector<storage::NetworkRow>& others) {
  for (const storage::NetworkRow& row : others) {
    if (row.driver == "host" || row.driver == "null") continue;
    const NetworkSettings other = parse_network_settings(row, config);
    if (!other.cni.empty()) continue;
    const bool overlaps = other.link.subnet.overlaps(settings.link.subnet) ||
                          (other.link.subnet6 && settings.link.subnet6 &&
                           other.link.subnet6->overlaps(*settings.link.subnet6));
    if (overlaps) {
      throw base::Error(base::ErrorKind::kConflict,
                        "invalid pool request: Pool overlaps with other one on this address space: "
                        "network " +
                            row.name);
    }
    if (other.link.bridge == settings.link.bridge) {
      throw base::Error(
          base::ErrorKind::kConflict,
          "networks have same bridge name: " + settings.link.bridge + " is that of " + row.name);
    }
  }
}

void set_subnets(NetworkSettings& settings, const NetworkRequest& request, const Config& config,
                 const std::vector<storage::NetworkRow>& others, const std::string& id) {
  network::BridgeConfig& link = settings.link;
  bool has_v4 = false;
  for (const std::string& text : request.subnets) {
    if (is_v6(text)) {
      if (link.subnet6) refuse("more than one IPv6 subnet: a network has one of each family");
      link.subnet6 = Ipv6Subnet::parse(text);
      continue;
    }
    if (has_v4) refuse("more than one IPv4 subnet: a network has one of each family");
    link.subnet = Ipv4Subnet::parse(text);
    has_v4 = true;
  }
  if (!has_v4) link.subnet = network::choose_subnet(taken_subnets(others, config));
  if (link.subnet.prefix < 8 || link.subnet.prefix > 30) {
    refuse("invalid subnet " + link.subnet.str() + ": its prefix is not from 8 to 30");
  }
  if (request.ipv6 && !link.subnet6) {
    // A unique local one, from the network's id: RFC 4193.
    link.subnet6 = Ipv6Subnet::parse("fd" + id.substr(0, 2) + ":" + id.substr(2, 4) + ":" +
                                     id.substr(6, 4) + ":" + id.substr(10, 4) + "::/64");
  }
  if (link.subnet6 && (link.subnet6->prefix < 16 || link.subnet6->prefix > 126)) {
    refuse("invalid subnet " + link.subnet6->str() + ": its prefix is not from 16 to 126");
  }
}

void set_gateways(NetworkSettings& settings, const NetworkRequest& request) {
  network::BridgeConfig& link = settings.link;
  link.gateway = link.subnet.first_host();
  if (link.subnet6) link.gateway6 = link.subnet6->host(1);
  for (const std::string& text : request.gateways) {
    const IpAddress gateway = IpAddress::parse(text);
    if (!gateway.is_v6() && link.subnet.contains(gateway.v4())) {
      link.gateway = gateway.v4();
    } else if (gateway.is_v6() && link.subnet6 && link.subnet6->contains(gateway.v6())) {
      link.gateway6 = gateway.v6();
    } else {
      refuse("no matching subnet for gateway " + text);
    }
  }
}

void set_ranges(NetworkSettings& settings, const NetworkRequest& request) {
  const network::BridgeConfig& link = settings.link;
  for (const std::string& text : request.ranges) {
    if (is_v6(text)) {
      settings.range6 = Ipv6Subnet::parse(text);
      if (link.subnet6 && link.subnet6->contains(settings.range6->base)) continue;
    } else {
      settings.range = Ipv4Subnet::parse(text);
      if (link.subnet.contains(settings.range->base) &&
          settings.range->prefix >= link.subnet.prefix) {
        continue;
      }
    }
    refuse("no matching subnet for range " + text);
  }
  for (const std::string& text : request.reserved) {
    const std::size_t equals = text.find('=');
    const std::string name = equals == std::string::npos ? "" : text.substr(0, equals);
    const std::string address = text.substr(equals == std::string::npos ? 0 : equals + 1);
    const IpAddress parsed = IpAddress::parse(address);
    const bool fits = parsed.is_v6() ? link.subnet6 && link.subnet6->contains(parsed.v6())
                                     : link.subnet.contains(parsed.v4());
    if (!fits) refuse("no matching subnet for aux-address " + address);
    settings.reserved[name.empty() ? address : name] = address;
  }
}

void check_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  };
  if (name.empty() || std::isalnum(static_cast<unsigned char>(name[0])) == 0 ||
      !std::all_of(name.begin(), name.end(), is_plain)) {
    refuse("invalid network name \"" + name + "\": only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed");
  }
  for (const char* taken : {"bridge", "host", "none", "default", "container"}) {
    if (name == taken) {
      throw base::Error(base::ErrorKind::kConflict,
                        "operation is not permitted on predefined " + name + " network");
    }
  }
}

}  // namespace

NetworkSettings plan_network(const NetworkRequest& request, const Config& config,
                             const std::filesystem::path& root, const std::string& id,
                             const std::vector<storage::NetworkRow>& others) {
  check_name(request.name);
  NetworkSettings settings;
  settings.link = plan_bridge_names(root);
  settings.link.bridge = "br-" + id.substr(0, kBridgeDigits);
  settings.link.internal = request.internal;
  if (config.obey_host_filter) settings.link.host_filter = network::HostFilter::kObey;
  settings.attachable = request.attachable;
  settings.options = request.options;
  settings.cni = request.cni;
  set_driver(settings, request.driver);
  for (const auto& [key, value] : request.options) set_option(settings, key, value);
  if (!settings.cni.empty()) return settings;
  if (settings.link.vxlan && settings.link.vxlan->id == 0)
    refuse("option vni of the driver vxlan is missing");
  set_subnets(settings, request, config, others, id);
  set_gateways(settings, request);
  set_ranges(settings, request);
  check_overlap(settings, config, others);
  return settings;
}

}  // namespace engine
