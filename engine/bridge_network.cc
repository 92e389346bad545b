#include "engine/bridge_network.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/time.h"
#include "oci/json.h"

namespace engine {
namespace {

using Json = nlohmann::json;

std::string hash_of(const std::string& text) {  // FNV-1a
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (int i = 0; i < 8; ++i, hash >>= 4U) digits += kDigits[hash & 15U];
  return digits;
}

Json bridge_json(const network::BridgeConfig& bridge) {
  return {{"bridge", bridge.bridge},
          {"table", bridge.table},
          {"subnet", bridge.subnet.str()},
          {"gateway", bridge.gateway.str()},
          {"mtu", bridge.mtu}};
}

network::BridgeConfig parse_bridge(const Json& json) {
  network::BridgeConfig bridge;
  bridge.bridge = json.at("bridge").get<std::string>();
  bridge.table = json.at("table").get<std::string>();
  bridge.subnet = network::Ipv4Subnet::parse(json.at("subnet").get<std::string>());
  bridge.gateway = network::Ipv4::parse(json.at("gateway").get<std::string>());
  bridge.mtu = json.at("mtu").get<int>();
  return bridge;
}

template <class Action>
auto reading(const char* what, Action&& action) {
  try {
    return action();
  } catch (const Json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid, std::string(what) + ": " + error.what());
  }
}

network::Protocol parse_protocol(std::string_view text) {
  if (text.empty() || text == "tcp") return network::Protocol::kTcp;
  if (text == "udp") return network::Protocol::kUdp;
  if (text == "sctp") return network::Protocol::kSctp;
  throw base::Error(base::ErrorKind::kInvalid, "invalid proto: " + std::string(text));
}

}  // namespace

network::BridgeConfig plan_bridge_names(const std::filesystem::path& root) {
  network::BridgeConfig bridge;
  const std::string text = root.lexically_normal().string();
  if (text != "/var/lib/sampan" && text != "/var/lib/sampan/") {
    bridge.bridge = "sp-" + hash_of(text);
    bridge.table = "sampan_" + hash_of(text);
  }
  return bridge;
}

std::optional<network::BridgeConfig> find_bridge(storage::Store& store) {
  const auto row = store.find_network(kBridgeNetwork);
  if (!row) return std::nullopt;
  return reading("network bridge", [&] { return parse_bridge(oci::parse_json(row->options)); });
}

network::BridgeConfig plan_bridge(storage::Store& store, const Config& config) {
  if (auto bridge = find_bridge(store)) return *bridge;
  network::BridgeConfig bridge = plan_bridge_names(store.root());
  bridge.subnet = config.bridge_subnet.empty()
                      ? network::choose_subnet(network::list_host_networks())
                      : network::Ipv4Subnet::parse(config.bridge_subnet);
  bridge.gateway = bridge.subnet.first_host();
  return bridge;
}

network::BridgeConfig load_or_make_bridge(storage::Store& store, const Config& config) {
  if (auto bridge = find_bridge(store)) return *bridge;
  const network::BridgeConfig wanted = plan_bridge(store, config);
  const storage::NetworkRow row =
      store.add_network({.name = kBridgeNetwork,
                         .driver = "bridge",
                         .options = bridge_json(wanted).dump(),
                         .created = base::now()});  // another may have been first: that one counts
  return reading("network bridge", [&] { return parse_bridge(oci::parse_json(row.options)); });
}

storage::LeaseRequest plan_lease(const network::BridgeConfig& bridge) {
  return {.network = kBridgeNetwork,
          .first = bridge.subnet.first_host().bits + 1,  // the first is the bridge's own
          .last = bridge.subnet.last_host().bits,
          .wanted = std::nullopt};
}

std::string render_network_state(const NetworkState& state) {
  if (state.endpoint.address.bits == 0) return {};
  Json ports = Json::array();
  for (const network::PublishedPort& port : state.endpoint.ports) {
    ports.push_back({{"hostAddress", port.host_address.str()},
                     {"hostPort", port.host_port},
                     {"containerPort", port.container_port},
                     {"protocol", static_cast<int>(port.protocol)}});
  }
  const Json json = {{"bridge", bridge_json(state.bridge)},
                     {"container", state.endpoint.container_id},
                     {"address", state.endpoint.address.str()},
                     {"ports", std::move(ports)}};
  return json.dump();
}

NetworkState parse_network_state(std::string_view text) {
  NetworkState state;
  if (text.empty()) return state;
  reading("network of the container", [&] {
    const Json json = oci::parse_json(text);
    state.bridge = parse_bridge(json.at("bridge"));
    state.endpoint.container_id = json.at("container").get<std::string>();
    state.endpoint.address = network::Ipv4::parse(json.at("address").get<std::string>());
    state.endpoint.mac = network::mac_of(state.endpoint.address);
    for (const Json& port : json.at("ports")) {
      state.endpoint.ports.push_back(
          {.host_address = network::Ipv4::parse(port.at("hostAddress").get<std::string>()),
           .host_port = port.at("hostPort").get<std::uint16_t>(),
           .container_port = port.at("containerPort").get<std::uint16_t>(),
           .protocol = static_cast<network::Protocol>(port.at("protocol").get<int>())});
    }
  });
  return state;
}

PortOption parse_exposed_port(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view digits = text.substr(0, slash);
  PortOption port;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), port.container_port);
  if (error != std::errc() || end != digits.data() + digits.size() || port.container_port == 0) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid containerPort: " + std::string(text));
  }
  port.protocol = parse_protocol(slash == std::string_view::npos ? "" : text.substr(slash + 1));
  return port;
}

std::vector<PortOption> plan_ports(const ContainerOptions& options,
                                   const std::vector<std::string>& exposed) {
  std::vector<PortOption> ports = options.ports;
  if (!options.publish_all) return ports;
  for (const std::string& text : exposed) {
    const PortOption candidate = parse_exposed_port(text);
    bool published = false;
    for (const PortOption& port : options.ports) {
      published = published || (port.container_port == candidate.container_port &&
                                port.protocol == candidate.protocol);
    }
    if (!published) ports.push_back(candidate);
  }
  return ports;
}

const char* protocol_name(network::Protocol protocol) {
  switch (protocol) {
    case network::Protocol::kUdp:
      return "udp";
    case network::Protocol::kSctp:
      return "sctp";
    case network::Protocol::kTcp:
      break;
  }
  return "tcp";
}

}  // namespace engine
