#include "engine/network_attach.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/process.h"
#include "engine/bridge_network.h"
#include "engine/names.h"

namespace engine {
namespace {

// docker: a name without an address of its own takes the network's default, else all of both
// families.
std::vector<network::IpAddress> host_addresses(const PortOption& port,
                                               const std::string& network_default) {
  const std::string& text = port.host_address.empty() ? network_default : port.host_address;
  if (!text.empty()) return {network::IpAddress::parse(text)};
  return {network::Ipv4{}, network::Ipv6{}};
}

}  // namespace

storage::NetworkRow load_network_row(storage::Store& store, const Config& config,
                                     std::string_view name_or_id) {
  if (name_or_id == kBridgeNetwork || name_or_id == "default") {
    return load_or_make_bridge_row(store, config);
  }
  auto row = store.find_network_by(name_or_id);
  if (!row) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "network " + std::string(name_or_id) + " not found");
  }
  return *row;
}

void resolve_networks(storage::Store& store, const Config& config, ContainerOptions& options) {
  if (options.network == NetworkMode::kContainer) {
    const auto row = store.find_container(options.network_container);
    if (!row) {
      throw base::Error(base::ErrorKind::kNotFound,
                        "No such container: " + options.network_container);
    }
    options.network_container = row->id;
  }
  for (NetworkOption& option : options.networks) {
    option.name = load_network_row(store, config, option.name).name;
  }
}

AttachmentPlan plan_attachment(storage::Store& store, const Config& config,
                               const NetworkOption& option) {
  const storage::NetworkRow row = load_network_row(store, config, option.name);
  if (row.driver == "host" || row.driver == "null") {
    throw base::Error(base::ErrorKind::kInvalid, "container cannot be connected to " + row.name +
                                                     " and to other networks at the same time");
  }
  const bool is_default = row.name == kBridgeNetwork;
  if (is_default && (!option.address.empty() || !option.address6.empty())) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "user specified IP address is supported on user defined networks only");
  }
  if (is_default && !option.aliases.empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "network-scoped aliases are only supported for user-defined networks");
  }
  const NetworkSettings settings = parse_network_settings(row, config);
  AttachmentPlan plan{.attachment = {.network = row.name,
                                     .network_id = row.id,
                                     .link = settings.link,
                                     .endpoint = {},
                                     .aliases = option.aliases,
                                     .gateway_priority = option.gateway_priority,
                                     .cni = settings.cni},
                      .leases = {}};
  if (!option.mac.empty()) plan.attachment.endpoint.mac = network::parse_mac(option.mac);
  if (settings.cni.empty()) {
    plan.leases = plan_leases(row.name, settings, option.address, option.address6);
  }
  return plan;
}

std::vector<AttachmentPlan> plan_attachments(storage::Store& store, const Config& config,
                                             const ContainerOptions& options) {
  std::vector<AttachmentPlan> plans;
  if (options.network != NetworkMode::kBridge) return plans;
  if (options.networks.empty()) {
    plans.push_back(plan_attachment(store, config, {.name = kBridgeNetwork}));
  }
  for (const NetworkOption& option : options.networks) {
    AttachmentPlan plan = plan_attachment(store, config, option);
    for (const AttachmentPlan& other : plans) {
      if (other.attachment.network != plan.attachment.network) continue;
      throw base::Error(base::ErrorKind::kInvalid,
                        "network " + option.name + " is named more than once");
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::vector<storage::LeaseRequest> all_leases(const std::vector<AttachmentPlan>& plans) {
  std::vector<storage::LeaseRequest> leases;
  for (const AttachmentPlan& plan : plans) {
    leases.insert(leases.end(), plan.leases.begin(), plan.leases.end());
  }
  return leases;
}

NetworkState make_network_state(const std::vector<AttachmentPlan>& plans,
                                const std::vector<std::uint32_t>& addresses,
                                const std::string& container_id) {
  NetworkState state;
  auto next = addresses.begin();
  for (const AttachmentPlan& plan : plans) {
    Attachment attachment = plan.attachment;
    network::Endpoint& endpoint = attachment.endpoint;
    endpoint.container_id = container_id;
    if (!plan.leases.empty()) {
      endpoint.address.bits = *next++;
      if (endpoint.mac == decltype(endpoint.mac){})
        endpoint.mac = network::mac_of(endpoint.address);
    }
    if (plan.leases.size() > 1) endpoint.address6 = attachment.link.subnet6->host(*next++);
    state.attachments.push_back(std::move(attachment));
  }
  order_attachments(state);
  return state;
}

NetworkState lease_networks(storage::Store& store, const Config& config,
                            const ContainerOptions& options, const std::string& container_id) {
  const std::vector<AttachmentPlan> plans = plan_attachments(store, config, options);
  std::vector<std::uint32_t> addresses;
  for (const storage::LeaseRequest& lease : all_leases(plans)) {
    addresses.push_back(store.lease_address(container_id, lease).value_or(0));
  }
  return make_network_state(plans, addresses, container_id);
}

void order_attachments(NetworkState& state) {
  for (std::size_t i = 0; i < state.attachments.size(); ++i) {
    Attachment& attachment = state.attachments[i];
    if (attachment.endpoint.interface_name == "eth0" && i != 0) {
      attachment.endpoint.interface_name = "eth" + std::to_string(i);
    }
    attachment.endpoint.has_default_route = false;
  }
  if (Attachment* const gateway = state.gateway()) gateway->endpoint.has_default_route = true;
}

void set_ports(NetworkState& state, const ContainerOptions& options, const oci::ImageConfig& image,
               const Config& config, storage::Store& store) {
  Attachment* const publisher = state.publisher();
  if (publisher == nullptr) return;
  const std::vector<PortOption> wanted = plan_ports(options, image.exposed_ports);
  publisher->endpoint.ports.clear();
  if (wanted.empty()) return;
  std::string network_default;
  if (publisher->network != kBridgeNetwork) {
    const auto row = store.find_network(publisher->network);
    if (row) network_default = parse_network_settings(*row, config).host_address;
  }
  for (const PortOption& port : wanted) {
    for (const network::IpAddress& address : host_addresses(port, network_default)) {
      publisher->endpoint.ports.push_back({.host_address = address,
                                           .host_port = port.host_port,
                                           .container_port = port.container_port,
                                           .protocol = port.protocol,
                                           .host_port_last = port.host_port_last});
    }
  }
}

std::vector<storage::HostRow> plan_hosts(const storage::ContainerRow& row,
                                         const NetworkState& state) {
  std::vector<storage::HostRow> hosts;
  for (const Attachment& attachment : state.attachments) {
    if (attachment.network == kBridgeNetwork) continue;  // docker has no names there
    const network::Endpoint& endpoint = attachment.endpoint;
    std::vector<std::string> names{row.name, row.id.substr(0, kShortIdDigits)};
    names.insert(names.end(), attachment.aliases.begin(), attachment.aliases.end());
    for (const std::string& name : names) {
      hosts.push_back({.network = attachment.network,
                       .name = base::lower_case(name),
                       .container = row.id,
                       .address = endpoint.address.bits,
                       .address6 = endpoint.address6 ? endpoint.address6->str() : ""});
    }
  }
  return hosts;
}

bool has_name_server(const NetworkState& state) {
  return std::any_of(state.attachments.begin(), state.attachments.end(),
                     [](const auto& item) { return item.network != kBridgeNetwork; });
}

std::string shared_network(storage::Store& store, const std::string& container) {
  const auto row = store.find_container(container);
  if (!row) throw base::Error(base::ErrorKind::kNotFound, "No such container: " + container);
  const auto process = base::find_process(row->init.pid);
  if (row->status != storage::ContainerStatus::kRunning || !process || *process != row->init) {
    throw base::Error(base::ErrorKind::kConflict,
                      "cannot join network of a non running container: " + row->id);
  }
  return "/proc/" + std::to_string(row->init.pid) + "/ns/net";
}

void release_networks(storage::Store& store, const std::string& container,
                      const NetworkState& state) {
  bool has_names = false;
  for (const Attachment& attachment : state.attachments) {
    has_names = has_names || attachment.network != kBridgeNetwork;
  }
  if (has_names) store.set_hosts(container, {});
  for (const Attachment& attachment : state.attachments) {
    if (attachment.cni.empty()) store.release_address(container, attachment.network);
    if (attachment.link.subnet6) store.release_address(container, attachment.network + "/6");
  }
}

}  // namespace engine
