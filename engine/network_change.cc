#include "engine/network_change.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/bridge_network.h"
#include "engine/etc_files.h"
#include "engine/host_facts.h"
#include "engine/network_attach.h"
#include "engine/network_restore.h"
#include "oci/json.h"

namespace engine {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(base::ErrorKind kind, const std::string& text) {
  throw base::Error(kind, text);
}

base::UniqueFd network_of(const StartedContainer& container) {
  const std::string path = "/proc/" + std::to_string(container.process.init.pid) + "/ns/net";
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ESRCH)) {  // it ends at this moment
    refuse(base::ErrorKind::kConflict, "Container " + container.row.id + " is not running");
  }
  base::check(fd.get(), path);
  return fd;
}

void write_down(storage::Store& store, const RunDirectory& directory,
                const StartedContainer& container, const NetworkChange& change,
                const NetworkState& state) {
  base::replace_file(directory.network_file(), render_network_state(state), 0600);
  const auto row = store.modify_container(container.row.id, [&](storage::ContainerRow& current) {
    ContainerOptions options = parse_options(current.options);
    change_options(options, change);
    current.options = render_options(options);
    current.ports = render_network_state(state);
  });
  if (row) store.set_hosts(row->id, plan_hosts(*row, state));
}

std::string next_interface(const NetworkState& state) {
  for (int number = 0;; ++number) {
    const std::string name = "eth" + std::to_string(number);
    const bool is_taken =
        std::any_of(state.attachments.begin(), state.attachments.end(),
                    [&](const auto& item) { return item.endpoint.interface_name == name; });
    if (!is_taken) return name;
  }
}

Attachment* find_routed(NetworkState& state) {
  const auto found = std::find_if(state.attachments.begin(), state.attachments.end(),
                                  [](const auto& item) { return item.endpoint.has_default_route; });
  return found == state.attachments.end() ? nullptr : &*found;
}

// A network that comes with a higher priority publishes the ports in place of the one that did.
void hand_ports_on(NetworkState& state, const std::string& publisher) {
  Attachment* const now = state.publisher();
  for (Attachment& before : state.attachments) {
    if (before.network != publisher || &before == now || before.endpoint.ports.empty()) continue;
    before.unpublish(before.endpoint);
    now->endpoint.ports = std::exchange(before.endpoint.ports, {});
    now->publish(now->endpoint);
  }
}

// What came with the last network goes again, and what that took is given back.
void take_back(NetworkState& before, const NetworkState& state, int netns_fd) {
  const Attachment& added = state.attachments.back();
  if (!added.endpoint.ports.empty()) added.unpublish(added.endpoint);
  network::disconnect(added.endpoint, netns_fd);
  const Attachment* const routed = find_routed(before);
  if (routed != nullptr && added.endpoint.has_default_route && routed->cni.empty()) {
    network::route_by_default(routed->link, routed->endpoint, netns_fd);
  }
  const Attachment* const publisher = before.publisher();
  if (publisher != nullptr && !publisher->endpoint.ports.empty()) {
    publisher->publish(publisher->endpoint);
  }
}

void connect_running(storage::Store& store, const Config& config, const RunDirectory& directory,
                     StartedContainer& container, const NetworkChange& change) {
  const std::string& id = container.row.id;
  NetworkState state = container.network;
  const std::vector<AttachmentPlan> plans = plan_attachments(store, config, change.add);
  if (state.find(plans.front().attachment.network) != nullptr) {
    refuse(base::ErrorKind::kConflict, "endpoint with name " + container.row.name +
                                           " already exists in network " +
                                           plans.front().attachment.network);
  }
  std::vector<std::uint32_t> addresses;
  for (const storage::LeaseRequest& lease : all_leases(plans)) {
    addresses.push_back(store.lease_address(id, lease).value_or(0));
  }
  Attachment added = make_network_state(plans, addresses, id).attachments.front();
  base::Cleanup release([&] {
    try {
      for (const storage::LeaseRequest& lease : all_leases(plans)) {
        store.release_address(id, lease.network);
      }
    } catch (const base::Error&) {  // goes with the container
    }
  });
  added.endpoint.interface_name = next_interface(state);
  Attachment* const routed = find_routed(state);
  added.endpoint.has_default_route =
      !added.link.internal &&
      (routed == nullptr || added.gateway_priority > routed->gateway_priority);
  const base::UniqueFd netns = network_of(container);
  if (added.cni.empty()) ensure_bridge(store, config, added);
  connect_attachment(added, netns.get());  // where it has the default route, that is replaced
  if (routed != nullptr && added.endpoint.has_default_route) {
    routed->endpoint.has_default_route = false;
  }
  const Attachment* const published = state.publisher();
  const std::string publisher = published == nullptr ? "" : published->network;
  state.attachments.push_back(added);
  try {
    hand_ports_on(state, publisher);
    write_down(store, directory, container, change, state);
  } catch (const base::Error&) {
    take_back(container.network, state, netns.get());
    throw;
  }
  release.dismiss();
  container.network = std::move(state);
}

void disconnect_running(storage::Store& store, const RunDirectory& directory,
                        StartedContainer& container, const NetworkChange& change) {
  const std::string& name = change.add.networks.front().name;
  NetworkState state = container.network;
  const auto found = std::find_if(state.attachments.begin(), state.attachments.end(),
                                  [&](const auto& item) { return item.network == name; });
  if (found == state.attachments.end()) {
    refuse(base::ErrorKind::kConflict,
           "container " + container.row.id + " is not connected to the network " + name);
  }
  Attachment gone = *found;
  state.attachments.erase(found);
  if (!gone.endpoint.ports.empty()) gone.unpublish(gone.endpoint);
  const base::UniqueFd netns = network_of(container);
  disconnect_attachment(gone, netns.get());
  Attachment* heir = nullptr;  // not of CNI, whose plugins make their routes when they connect
  for (Attachment& each : state.attachments) {
    if (each.link.internal || !each.cni.empty()) continue;
    if (heir == nullptr || each.gateway_priority > heir->gateway_priority) heir = &each;
  }
  if (gone.endpoint.has_default_route && heir != nullptr) {
    heir->endpoint.has_default_route = true;
    network::route_by_default(heir->link, heir->endpoint, netns.get());
  }
  Attachment* const publisher = state.publisher();
  if (publisher != nullptr && !gone.endpoint.ports.empty()) {
    publisher->endpoint.ports = gone.endpoint.ports;
    publisher->publish(publisher->endpoint);
  }
  write_down(store, directory, container, change, state);
  NetworkState left;
  left.attachments.push_back(std::move(gone));
  const std::string& network = left.attachments.front().network;
  if (left.attachments.front().cni.empty()) store.release_address(container.row.id, network);
  if (left.attachments.front().link.subnet6) {
    store.release_address(container.row.id, network + "/6");
  }
  container.network = std::move(state);
}

bool is_same_port(const network::PublishedPort& published, const PortOption& wanted) {
  return published.container_port == wanted.container_port &&
         published.protocol == wanted.protocol &&
         (wanted.host_port == 0 || wanted.host_port == published.host_port) &&
         (wanted.host_address.empty() ||
          network::IpAddress::parse(wanted.host_address) == published.host_address);
}

bool is_wanted(const std::vector<PortOption>& wanted, const network::PublishedPort& port) {
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const PortOption& option) { return is_same_port(port, option); });
}

void publish_running(storage::Store& store, const Config& config, const RunDirectory& directory,
                     StartedContainer& container, const NetworkChange& change) {
  NetworkState state = container.network;
  Attachment* const publisher = state.publisher();
  if (publisher == nullptr) {
    refuse(base::ErrorKind::kInvalid,
           "container " + container.row.name + " is on no network that publishes ports");
  }
  std::vector<network::PublishedPort>& ports = publisher->endpoint.ports;
  network::Endpoint going = publisher->endpoint;
  std::erase_if(going.ports,
                [&](const auto& port) { return !is_wanted(change.remove.ports, port); });
  for (const PortOption& option : change.remove.ports) {
    const bool is_there = std::any_of(ports.begin(), ports.end(),
                                      [&](const auto& port) { return is_same_port(port, option); });
    if (!is_there) {
      refuse(base::ErrorKind::kNotFound, "no public port '" +
                                             std::to_string(option.container_port) + "/" +
                                             protocol_name(option.protocol) + "' published");
    }
  }
  NetworkState wanted = state;
  set_ports(wanted, change.add, {}, config, store);
  PortReservation reservation = reserve_ports(wanted.publisher()->endpoint.ports);
  network::Endpoint coming = publisher->endpoint;
  coming.ports = reservation.ports();
  std::erase_if(ports, [&](const auto& port) { return is_wanted(change.remove.ports, port); });
  ports.insert(ports.end(), coming.ports.begin(), coming.ports.end());
  // What will be published is written down before it is.
  base::replace_file(directory.network_file(), render_network_state(state), 0600);
  publisher->publish(coming);
  write_down(store, directory, container, change, state);
  publisher->unpublish(going);
  std::erase_if(container.ports.reserved, [&](const ReservedPort& reserved) {
    return is_wanted(change.remove.ports, reserved.port);
  });
  std::move(reservation.reserved.begin(), reservation.reserved.end(),
            std::back_inserter(container.ports.reserved));
  container.network = std::move(state);
}

}  // namespace

std::string render_network_change(const NetworkChange& change) {
  return Json{{"action", static_cast<int>(change.action)},
              {"add", render_options(change.add)},
              {"remove", render_options(change.remove)}}
      .dump();
}

NetworkChange parse_network_change(std::string_view text) {
  NetworkChange change;
  try {
    const Json json = oci::parse_json(text);
    change.action = static_cast<NetworkChange::Action>(json.at("action").get<int>());
    change.add = parse_options(json.at("add").get<std::string>());
    change.remove = parse_options(json.at("remove").get<std::string>());
  } catch (const Json::exception& error) {
    refuse(base::ErrorKind::kInvalid, std::string("network change: ") + error.what());
  }
  return change;
}

void change_options(ContainerOptions& options, const NetworkChange& change) {
  if (options.network == NetworkMode::kHost || options.network == NetworkMode::kContainer) {
    refuse(base::ErrorKind::kConflict,
           "container sharing network namespace with another container or host cannot be "
           "connected to any other network");
  }
  if (change.action == NetworkChange::Action::kPublish) {
    std::erase_if(options.ports, [&](const PortOption& port) {
      return is_wanted(
          change.remove.ports,
          {.host_address = port.host_address.empty() ? network::IpAddress()
                                                     : network::IpAddress::parse(port.host_address),
           .host_port = port.host_port,
           .container_port = port.container_port,
           .protocol = port.protocol});
    });
    options.ports.insert(options.ports.end(), change.add.ports.begin(), change.add.ports.end());
    return;
  }
  const bool is_on_default = options.network == NetworkMode::kBridge;
  if (options.networks.empty() && is_on_default)
    options.networks.push_back({.name = kBridgeNetwork});
  options.network = NetworkMode::kBridge;
  const NetworkOption& network = change.add.networks.front();
  const auto found = std::find_if(options.networks.begin(), options.networks.end(),
                                  [&](const auto& item) { return item.name == network.name; });
  if (change.action == NetworkChange::Action::kConnect) {
    if (found != options.networks.end()) *found = network;
    if (found == options.networks.end()) options.networks.push_back(network);
    return;
  }
  if (found != options.networks.end()) options.networks.erase(found);
  if (options.networks.empty()) options.network = NetworkMode::kNone;
}

void change_running(storage::Store& store, const Config& config, const RunDirectory& directory,
                    StartedContainer& container, const NetworkChange& change) {
  switch (change.action) {
    case NetworkChange::Action::kConnect:
      connect_running(store, config, directory, container, change);
      break;
    case NetworkChange::Action::kDisconnect:
      disconnect_running(store, directory, container, change);
      break;
    case NetworkChange::Action::kPublish:
      return publish_running(store, config, directory, container, change);
  }
  // In place: the container has these very files bound in.
  const std::string host_file = read_host_resolv_conf();
  base::write_file(directory.path() / "resolv.conf",
                   has_name_server(container.network)
                       ? render_own_resolv_conf(container.options, host_file)
                       : render_resolv_conf(container.options, host_file));
}

}  // namespace engine
