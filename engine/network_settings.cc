#include "engine/network_settings.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "oci/json.h"

namespace engine {
namespace {

using Json = nlohmann::json;

Json tunnel_json(const network::VxlanTunnel& tunnel) {
  Json peers = Json::array();
  for (const network::IpAddress& peer : tunnel.peers) peers.push_back(peer.str());
  return {{"id", tunnel.id},
          {"port", tunnel.port},
          {"local", tunnel.local ? tunnel.local->str() : ""},
          {"peers", std::move(peers)}};
}

network::VxlanTunnel parse_tunnel(const Json& json) {
  network::VxlanTunnel tunnel;
  tunnel.id = json.at("id").get<std::uint32_t>();
  tunnel.port = json.at("port").get<std::uint16_t>();
  const auto local = json.at("local").get<std::string>();
  if (!local.empty()) tunnel.local = network::IpAddress::parse(local);
  for (const Json& peer : json.at("peers")) {
    tunnel.peers.push_back(network::IpAddress::parse(peer.get<std::string>()));
  }
  return tunnel;
}

std::optional<std::uint32_t> wanted_number(const std::string& text, const auto& number_of) {
  if (text.empty()) return std::nullopt;
  return number_of(text);
}

}  // namespace

Json link_json(const network::BridgeConfig& link) {
  Json json = {{"bridge", link.bridge},
               {"table", link.table},
               {"subnet", link.subnet.str()},
               {"gateway", link.gateway.str()},
               {"mtu", link.mtu}};
  if (link.subnet6) {
    json["subnet6"] = link.subnet6->str();
    json["gateway6"] = link.gateway6.str();
  }
  if (link.kind != network::LinkKind::kBridge) {
    json["kind"] = static_cast<int>(link.kind);
    json["parent"] = link.parent;
  }
  if (link.vxlan) json["vxlan"] = tunnel_json(*link.vxlan);
  if (link.internal) json["internal"] = true;
  if (!link.masquerade) json["masquerade"] = false;
  if (!link.icc) json["icc"] = false;
  if (link.host_filter == network::HostFilter::kObey) json["obey"] = true;
  return json;
}

network::BridgeConfig parse_link(const Json& json) {
  network::BridgeConfig link;
  link.bridge = json.at("bridge").get<std::string>();
  link.table = json.at("table").get<std::string>();
  link.subnet = network::Ipv4Subnet::parse(json.at("subnet").get<std::string>());
  link.gateway = network::Ipv4::parse(json.at("gateway").get<std::string>());
  link.mtu = json.at("mtu").get<int>();
  if (json.contains("subnet6")) {
    link.subnet6 = network::Ipv6Subnet::parse(json.at("subnet6").get<std::string>());
    link.gateway6 = network::Ipv6::parse(json.at("gateway6").get<std::string>());
  }
  link.kind = static_cast<network::LinkKind>(json.value("kind", 0));
  link.parent = json.value("parent", "");
  if (json.contains("vxlan")) link.vxlan = parse_tunnel(json.at("vxlan"));
  link.internal = json.value("internal", false);
  link.masquerade = json.value("masquerade", true);
  link.icc = json.value("icc", true);
  if (json.value("obey", false)) link.host_filter = network::HostFilter::kObey;
  return link;
}

std::string render_network_settings(const NetworkSettings& settings) {
  Json json = link_json(settings.link);
  json.erase("obey");  // the configuration's, not the network's
  if (settings.range) json["range"] = settings.range->str();
  if (settings.range6) json["range6"] = settings.range6->str();
  if (!settings.reserved.empty()) json["reserved"] = settings.reserved;
  if (!settings.options.empty()) json["options"] = settings.options;
  if (!settings.host_address.empty()) json["hostAddress"] = settings.host_address;
  if (settings.attachable) json["attachable"] = true;
  if (!settings.cni.empty()) json["cni"] = settings.cni;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

NetworkSettings parse_network_settings(const storage::NetworkRow& row, const Config& config) {
  NetworkSettings settings;
  try {
    const Json json = oci::parse_json(row.options);
    settings.link = parse_link(json);
    if (json.contains("range")) {
      settings.range = network::Ipv4Subnet::parse(json.at("range").get<std::string>());
    }
    if (json.contains("range6")) {
      settings.range6 = network::Ipv6Subnet::parse(json.at("range6").get<std::string>());
    }
    settings.reserved = json.value("reserved", settings.reserved);
    settings.options = json.value("options", settings.options);
    settings.host_address = json.value("hostAddress", "");
    settings.attachable = json.value("attachable", false);
    settings.cni = json.value("cni", "");
  } catch (const Json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid, "network " + row.name + ": " + error.what());
  }
  settings.link.host_filter =
      config.obey_host_filter ? network::HostFilter::kObey : network::HostFilter::kPassBy;
  return settings;
}

std::vector<storage::LeaseRequest> plan_leases(const std::string& name,
                                               const NetworkSettings& settings,
                                               const std::string& wanted,
                                               const std::string& wanted6) {
  const network::Ipv4Subnet& subnet = settings.link.subnet;
  storage::LeaseRequest lease{.network = name,
                              .first = subnet.first_host().bits,
                              .last = subnet.last_host().bits,
                              .lowest = subnet.first_host().bits,
                              .highest = subnet.last_host().bits,
                              .reserved = {settings.link.gateway.bits}};
  if (settings.range) {
    lease.first = std::max(lease.first, settings.range->base.bits);
    lease.last = std::min(lease.last, settings.range->broadcast().bits);
  }
  lease.wanted = wanted_number(
      wanted, [](const std::string& text) { return network::Ipv4::parse(text).bits; });
  std::vector<storage::LeaseRequest> leases{lease};
  if (settings.link.subnet6) {
    const network::Ipv6Subnet& subnet6 = *settings.link.subnet6;
    storage::LeaseRequest lease6{.network = name + "/6",
                                 .first = 1,
                                 .last = subnet6.last_number(),
                                 .lowest = 1,
                                 .highest = subnet6.last_number(),
                                 .reserved = {subnet6.number_of(settings.link.gateway6)}};
    if (settings.range6) {
      lease6.first = std::max(lease6.first, subnet6.number_of(settings.range6->base));
      lease6.last = std::min(lease6.last, lease6.first + settings.range6->last_number());
    }
    lease6.wanted = wanted_number(wanted6, [&](const std::string& text) {
      const network::Ipv6 address = network::Ipv6::parse(text);
      if (subnet6.contains(address)) return subnet6.number_of(address);
      throw base::Error(base::ErrorKind::kInvalid,
                        "no configured subnet contains IP address " + text);
    });
    leases.push_back(std::move(lease6));
  } else if (!wanted6.empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "no configured subnet contains IP address " + wanted6);
  }
  for (const auto& [key, text] : settings.reserved) {
    const network::IpAddress address = network::IpAddress::parse(text);
    if (!address.is_v6()) {
      leases.front().reserved.push_back(address.v4().bits);
    } else if (leases.size() > 1) {
      leases.back().reserved.push_back(settings.link.subnet6->number_of(address.v6()));
    }
  }
  return leases;
}

}  // namespace engine
