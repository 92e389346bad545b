#include "engine/links.h"

#include <algorithm>

#include "base/error.h"
#include "base/letter_case.h"
#include "engine/bridge_network.h"
#include "engine/names.h"
#include "engine/network_state.h"
#include "engine/process_plan.h"
#include "storage/store.h"

namespace engine {
namespace {

std::vector<PortOption> exposed_ports(const ContainerOptions& options,
                                      const oci::ImageConfig& image) {
  std::vector<PortOption> ports;
  for (const auto* list : {&image.exposed_ports, &options.exposed_ports}) {
    for (const std::string& text : *list) ports.push_back(parse_exposed_port(text));
  }
  ports.insert(ports.end(), options.ports.begin(), options.ports.end());
  const auto order = [](const PortOption& port) {
    return std::pair(port.container_port, port.protocol != network::Protocol::kTcp);
  };
  std::sort(ports.begin(), ports.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  const auto same = [](const PortOption& a, const PortOption& b) {
    return a.container_port == b.container_port && a.protocol == b.protocol;
  };
  ports.erase(std::unique(ports.begin(), ports.end(), same), ports.end());
  return ports;
}

// "my-db" as it begins the name of a variable.
std::string variable_prefix(const std::string& alias) {
  std::string prefix = base::upper_case(alias);
  std::replace(prefix.begin(), prefix.end(), '-', '_');
  return prefix;
}

}  // namespace

std::vector<Link> find_links(storage::Store& store, const ContainerOptions& options) {
  std::vector<Link> links;
  for (const std::string& text : options.links) {
    const std::size_t colon = text.find(':');
    const std::string target = text.substr(0, colon);
    const std::string alias = colon == std::string::npos ? target : text.substr(colon + 1);
    const auto row = store.find_container(target);
    if (!row) {
      throw base::Error(base::ErrorKind::kInvalid, "could not get container for " + target);
    }
    const NetworkState state = parse_network_state(row->ports);
    const Attachment* const there = state.find(kBridgeNetwork);
    if (there == nullptr) {
      if (!state.attachments.empty()) continue;  // by name, on a network of the user's
      throw base::Error(base::ErrorKind::kInvalid,
                        "Cannot link to a non running container: /" + row->name + " AS /" + alias);
    }
    const ContainerOptions theirs = parse_options(row->options);
    const oci::ImageConfig image = oci::parse_image_config(store.load_image(row->image).config);
    links.push_back({.alias = alias,
                     .address = there->endpoint.address.str(),
                     .id = row->id,
                     .name = row->name,
                     .ports = exposed_ports(theirs, image),
                     .environment = merge_environment(image.env, theirs.env)});
  }
  return links;
}

std::string render_link(const Link& link) {
  return link.address + "\t" + link.alias + " " + link.id.substr(0, kShortIdDigits) +
         (link.name == link.alias ? "" : " " + link.name);
}

std::vector<std::string> link_environment(const Link& link, const std::string& name) {
  const std::string prefix = variable_prefix(link.alias);
  std::vector<std::string> lines;
  for (const PortOption& port : link.ports) {
    const std::string number = std::to_string(port.container_port);
    const std::string protocol = protocol_name(port.protocol);
    const std::string url = protocol + "://" + link.address + ":" + number;
    if (lines.empty()) lines.push_back(prefix + "_PORT=" + url);
    const std::string one = prefix + "_PORT_" + number + "_" + base::upper_case(protocol);
    lines.push_back(one + "=" + url);
    lines.push_back(one + "_ADDR=" + link.address);
    lines.push_back(one + "_PORT=" + number);
    lines.push_back(one + "_PROTO=" + protocol);
  }
  lines.push_back(prefix + "_NAME=/" + name + "/" + link.alias);
  for (const std::string& entry : link.environment) {
    if (entry.starts_with("HOME=") || entry.starts_with("PATH=")) continue;
    lines.push_back(prefix + "_ENV_" + entry);
  }
  return lines;
}

}  // namespace engine
