#include "cli/network_flags.h"

#include <charconv>

#include "base/error.h"
#include "network/address.h"

namespace cli {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

std::vector<std::string> fields_of(const std::string& text) {
  std::vector<std::string> fields;
  std::size_t start = 0;
  for (std::size_t comma = 0; comma != std::string::npos; start = comma + 1) {
    comma = text.find(',', start);
    fields.push_back(text.substr(start, comma == std::string::npos ? comma : comma - start));
  }
  return fields;
}

std::int64_t parse_gateway_priority(const std::string& text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) refuse("invalid gw-priority (" + text + ")");
  return value;
}

void set_field(engine::NetworkOption& network, const std::string& whole, const std::string& field) {
  const std::size_t equals = field.find('=');
  const std::string key = field.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
  if (equals == std::string::npos)
    refuse("invalid field " + field + " in network \"" + whole + "\"");
  if (key == "name") {
    network.name = value;
  } else if (key == "alias") {
    network.aliases.push_back(value);
  } else if (key == "ip") {
    network.address = network::Ipv4::parse(value).str();
  } else if (key == "ip6") {
    network.address6 = network::Ipv6::parse(value).str();
  } else if (key == "mac-address" || key == "mac") {
    network.mac = network::format_mac(network::parse_mac(value));
  } else if (key == "link-local-ip") {
    refuse("link-local addresses are not given out: every interface makes its own");
  } else if (key == "gw-priority") {
    network.gateway_priority = parse_gateway_priority(value);
  } else if (key != "driver-opt") {
    refuse("invalid field key " + key + " in network \"" + whole + "\"");
  }
}

// The modes that are no network.
bool set_mode(engine::ContainerOptions& options, const std::string& text) {
  if (text == "none") {
    options.network = engine::NetworkMode::kNone;
  } else if (text == "host") {
    options.network = engine::NetworkMode::kHost;
  } else if (text.starts_with("container:")) {
    options.network = engine::NetworkMode::kContainer;
    options.network_container = text.substr(10);
    if (options.network_container.empty()) refuse("invalid container format container:<name|id>");
  } else {
    return false;
  }
  return true;
}

}  // namespace

engine::NetworkOption parse_network(const std::string& text) {
  engine::NetworkOption network;
  const std::size_t colon = text.find(':');
  if (text.find('=') == std::string::npos) {
    network.name = text == "default" ? "bridge" : text;
  } else if (colon != std::string::npos && colon < text.find('=')) {
    network.name = text.substr(0, colon);
    for (const std::string& field : fields_of(text.substr(colon + 1))) {
      set_field(network, text, field);
    }
  } else {
    for (const std::string& field : fields_of(text)) set_field(network, text, field);
  }
  if (network.name.empty()) refuse("network name is missing in \"" + text + "\"");
  return network;
}

std::vector<Flag> NetworkFlags::flags() {
  return {
      {"--network,--net", "network",
       "Connect a container to a network (a name, \"none\", \"host\", \"container:NAME\"); may be "
       "repeated",
       &networks_},
      {"--network-alias,--net-alias", "list", "Add network-scoped alias for the container",
       &aliases_},
      {"--ip", "string", "IPv4 address (e.g., 172.30.100.104)", &address_},
      {"--ip6", "string", "IPv6 address (e.g., 2001:db8::33)", &address6_},
      {"--mac-address", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)", &mac_},
      {"--link", "list", "Add link to another container", &links_},
      {"--link-local-ip", "list", "Not supported", &link_local_},
  };
}

void NetworkFlags::apply(engine::ContainerOptions& options) const {
  if (!link_local_.empty()) {
    refuse("--link-local-ip is not supported: every interface makes its own link-local address");
  }
  for (const std::string& text : networks_) {
    if (set_mode(options, text)) {
      if (networks_.size() > 1) {
        refuse(
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes");
      }
      continue;
    }
    // podman's "a,b" for what docker says by two flags; an alias is then one on each.
    const bool is_list = text.find('=') == std::string::npos;
    for (const std::string& one : is_list ? fields_of(text) : std::vector<std::string>{text}) {
      options.networks.push_back(parse_network(one));
      if (one != text) options.networks.back().aliases = aliases_;
    }
  }
  options.links = links_;
  const bool has_details =
      !aliases_.empty() || !address_.empty() || !address6_.empty() || !mac_.empty();
  if (!has_details) return;
  if (options.network != engine::NetworkMode::kBridge) {
    refuse("conflicting options: addresses and aliases and the network mode " + networks_.front());
  }
  if (options.networks.empty()) options.networks.push_back({.name = "bridge"});
  engine::NetworkOption& first = options.networks.front();
  if (first.aliases != aliases_) {
    first.aliases.insert(first.aliases.end(), aliases_.begin(), aliases_.end());
  }
  if (!address_.empty()) first.address = network::Ipv4::parse(address_).str();
  if (!address6_.empty()) first.address6 = network::Ipv6::parse(address6_).str();
  if (!mac_.empty()) first.mac = network::format_mac(network::parse_mac(mac_));
}

}  // namespace cli
