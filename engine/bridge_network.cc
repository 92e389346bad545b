#include "engine/bridge_network.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/time.h"
#include "engine/network_settings.h"

namespace engine {
namespace {

std::string hash_of(const std::string& text) {  // FNV-1a
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (int i = 0; i < 8; ++i, hash >>= 4U) digits += kDigits[hash & 15U];
  return digits;
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
  return parse_network_settings(*row, Config{}).link;
}

storage::NetworkRow plan_bridge_row(storage::Store& store, const Config& config) {
  if (auto row = store.find_network(kBridgeNetwork)) return *row;
  NetworkSettings settings{.link = plan_bridge_names(store.root())};
  settings.link.subnet = config.bridge_subnet.empty()
                             ? network::choose_subnet(network::list_host_networks())
                             : network::Ipv4Subnet::parse(config.bridge_subnet);
  settings.link.gateway = settings.link.subnet.first_host();
  return {.name = kBridgeNetwork,
          .driver = "bridge",
          .options = render_network_settings(settings),
          .created = base::now()};
}

storage::NetworkRow load_or_make_bridge_row(storage::Store& store, const Config& config) {
  if (auto row = store.find_network(kBridgeNetwork)) return *row;
  // Another may be first: then that one counts.
  return store.add_network(plan_bridge_row(store, config));
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
  const auto add = [&](const std::string& text) {
    const PortOption candidate = parse_exposed_port(text);
    const bool published = std::any_of(ports.begin(), ports.end(), [&](const PortOption& port) {
      return port.container_port == candidate.container_port && port.protocol == candidate.protocol;
    });
    if (!published) ports.push_back(candidate);
  };
  std::for_each(exposed.begin(), exposed.end(), add);
  std::for_each(options.exposed_ports.begin(), options.exposed_ports.end(), add);
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
