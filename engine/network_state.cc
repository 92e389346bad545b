#include "engine/network_state.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/network_links.h"
#include "engine/network_settings.h"
#include "oci/json.h"

namespace engine {
namespace {

using Json = nlohmann::json;

using Ports = std::vector<network::PublishedPort>;

// Whether `next` is `port` moved up by one, at the same address.
bool follows(const network::PublishedPort& port, const network::PublishedPort& next) {
  network::PublishedPort moved = port;
  ++moved.host_port;
  ++moved.container_port;
  return port.host_port_last == 0 && port.host_port < UINT16_MAX &&
         port.container_port < UINT16_MAX && next == moved;
}

// How many from the first have its port, at addresses of their own.
std::size_t count_addresses(std::span<const network::PublishedPort> ports) {
  std::size_t count = 1;
  for (; count < ports.size(); ++count) {
    network::PublishedPort same = ports[count];
    same.host_address = ports[0].host_address;
    if (same != ports[0]) break;
  }
  return count;
}

// A row of a thousand ports would be read whole wherever SQLite compares its key: a run of ports,
// one after the other, at one or several addresses, is one entry.
Json ports_json(std::span<const network::PublishedPort> ports) {
  Json list = Json::array();
  while (!ports.empty()) {
    const network::PublishedPort& first = ports[0];
    const std::size_t addresses = count_addresses(ports);
    std::size_t size = addresses;
    while (size < ports.size() && follows(ports[size - addresses], ports[size])) ++size;
    size -= size % addresses;
    Json json = {{"hostAddress", first.host_address.str()},
                 {"hostPort", first.host_port},
                 {"containerPort", first.container_port},
                 {"protocol", static_cast<int>(first.protocol)}};
    for (const network::PublishedPort& port : ports.subspan(1, addresses - 1)) {
      json["moreAddresses"].push_back(port.host_address.str());
    }
    if (first.host_port_last != 0) json["hostPortLast"] = first.host_port_last;
    if (size > addresses) json["count"] = size / addresses;
    list.push_back(std::move(json));
    ports = ports.subspan(size);
  }
  return list;
}

void parse_ports(const Json& json, Ports& ports) {
  network::PublishedPort port = {
      .host_address = network::IpAddress::parse(json.at("hostAddress").get<std::string>()),
      .host_port = json.at("hostPort").get<std::uint16_t>(),
      .container_port = json.at("containerPort").get<std::uint16_t>(),
      .protocol = static_cast<network::Protocol>(json.at("protocol").get<int>()),
      .host_port_last = json.value("hostPortLast", std::uint16_t{0})};
  std::vector<network::IpAddress> addresses = {port.host_address};
  for (const Json& more : json.value("moreAddresses", Json::array())) {
    addresses.push_back(network::IpAddress::parse(more.get<std::string>()));
  }
  const auto count = json.value("count", std::uint32_t{1});
  if (count == 0 ||
      count - 1U > UINT16_MAX - std::max<unsigned>(port.host_port, port.container_port)) {
    throw base::Error(base::ErrorKind::kInvalid, "networks of the container: too many ports");
  }
  for (std::uint32_t i = 0; i < count; ++i, ++port.host_port, ++port.container_port) {
    for (const network::IpAddress& address : addresses) {
      port.host_address = address;
      ports.push_back(port);
    }
  }
}

Json attachment_json(const Attachment& attachment) {
  const network::Endpoint& endpoint = attachment.endpoint;
  Json json = {{"network", attachment.network},        {"id", attachment.network_id},
               {"link", link_json(attachment.link)},   {"container", endpoint.container_id},
               {"address", endpoint.address.str()},    {"mac", network::format_mac(endpoint.mac)},
               {"interface", endpoint.interface_name}, {"ports", ports_json(endpoint.ports)}};
  if (endpoint.address6) json["address6"] = endpoint.address6->str();
  if (!endpoint.has_default_route) json["defaultRoute"] = false;
  if (!attachment.aliases.empty()) json["aliases"] = attachment.aliases;
  if (attachment.gateway_priority != 0) json["gwPriority"] = attachment.gateway_priority;
  if (!attachment.cni.empty()) json["cni"] = attachment.cni;
  return json;
}

Attachment parse_attachment(const Json& json) {
  Attachment attachment{.network = json.at("network").get<std::string>(),
                        .network_id = json.at("id").get<std::string>(),
                        .link = parse_link(json.at("link")),
                        .endpoint = {},
                        .aliases = json.value("aliases", std::vector<std::string>()),
                        .gateway_priority = json.value("gwPriority", std::int64_t{0}),
                        .cni = json.value("cni", "")};
  network::Endpoint& endpoint = attachment.endpoint;
  endpoint.container_id = json.at("container").get<std::string>();
  endpoint.address = network::Ipv4::parse(json.at("address").get<std::string>());
  endpoint.mac = network::parse_mac(json.at("mac").get<std::string>());
  endpoint.interface_name = json.at("interface").get<std::string>();
  if (json.contains("address6")) {
    endpoint.address6 = network::Ipv6::parse(json.at("address6").get<std::string>());
  }
  endpoint.has_default_route = json.value("defaultRoute", true);
  if (const auto ports = json.find("ports"); ports != json.end()) {
    for (const Json& port : *ports) parse_ports(port, endpoint.ports);
  }
  return attachment;
}

}  // namespace

void Attachment::publish(const network::Endpoint& what) const {
  if (cni.empty()) network::publish(link, what);
}

void Attachment::unpublish(const network::Endpoint& what) const {
  if (cni.empty()) network::unpublish(link, what);
}

namespace {

// The first of those with the highest priority.
template <class Fits>
Attachment* find_by_priority(std::vector<Attachment>& attachments, Fits&& fits) {
  Attachment* best = nullptr;
  for (Attachment& each : attachments) {
    if (!fits(each)) continue;
    if (best == nullptr || each.gateway_priority > best->gateway_priority) best = &each;
  }
  return best;
}

}  // namespace

Attachment* NetworkState::gateway() {
  return find_by_priority(attachments, [](const Attachment& each) { return !each.link.internal; });
}

Attachment* NetworkState::publisher() {
  return find_by_priority(attachments, [](const Attachment& each) {
    const bool is_bridge = each.link.kind == network::LinkKind::kBridge;
    return !each.cni.empty() || (is_bridge && !each.link.internal);
  });
}

const Attachment* NetworkState::publisher() const {
  return const_cast<NetworkState*>(this)->publisher();  // NOLINT: the same search
}

const Attachment* NetworkState::translated() const {
  const Attachment* const found = publisher();
  return found != nullptr && found->cni.empty() ? found : nullptr;
}

const Attachment* NetworkState::find(std::string_view network) const {
  for (const Attachment& attachment : attachments) {
    if (attachment.network == network) return &attachment;
  }
  return nullptr;
}

std::string render_network_state(const NetworkState& state) {
  if (state.attachments.empty()) return {};
  Json list = Json::array();
  for (const Attachment& attachment : state.attachments) {
    list.push_back(attachment_json(attachment));
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {

template <class Parse>
NetworkState parse_attachments(std::string_view text, Parse parse) {
  NetworkState state;
  if (text.empty()) return state;
  try {
    const Json list = parse(text);
    if (!list.is_array()) {
      throw base::Error(base::ErrorKind::kInvalid, "networks of the container: not a list");
    }
    for (const Json& json : list) state.attachments.push_back(parse_attachment(json));
  } catch (const Json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid,
                      std::string("networks of the container: ") + error.what());
  }
  return state;
}

}  // namespace

NetworkState parse_network_state(std::string_view text) {
  return parse_attachments(text, [](std::string_view json) { return oci::parse_json(json); });
}

NetworkState parse_network_links(std::string_view text) {
  const auto is_wanted = [](int, Json::parse_event_t event, const Json& parsed) {
    return event != Json::parse_event_t::key || parsed != "ports";
  };
  return parse_attachments(text,
                           [&](std::string_view json) { return Json::parse(json, is_wanted); });
}

}  // namespace engine
