// Changes of a container's networks and ports, from the command's side.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/network_attach.h"
#include "engine/network_change.h"
#include "engine/networks.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

constexpr int kStarterSeconds = 30;  // how long a command that starts it may take

void ask_for_change(MonitorLink& link, const NetworkChange& change) {
  link.send(FrameType::kNetwork, render_network_change(change));
  while (const auto frame = link.wait_next()) {
    if (frame->type == FrameType::kDone) return;
    if (frame->type == FrameType::kError) throw parse_error(frame->payload);
  }
  throw base::Error(base::ErrorKind::kConflict, "the container has ended meanwhile");
}

std::string change_row(const storage::ContainerRow& row, const NetworkChange& change) {
  ContainerOptions options = parse_options(row.options);
  change_options(options, change);
  return render_options(options);
}

void log_connection(Engine& engine, std::string_view action, const storage::NetworkRow& network,
                    const std::string& container) {
  engine.store().add_event(
      "network", action, network.id,
      nlohmann::json({{"container", container}, {"name", network.name}, {"type", network.driver}})
          .dump());
}

}  // namespace

void Engine::change_network(std::string_view name_or_id, const NetworkChange& change) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  change_row(row, change);  // refuses what makes no sense
  if (is_active(row.status)) {
    auto link = connect_monitor(state_->directory_of(row.id), 0);
    if (!link) {
      throw base::Error(base::ErrorKind::kConflict, "Container " + row.id + " is not running");
    }
    return ask_for_change(*link, change);
  }
  const auto lock = state_->lock_stopped(row, kStarterSeconds);
  if (!lock) return change_network(row.id, change);  // another command has started it
  state_->store.modify_container(row.id, [&](storage::ContainerRow& current) {
    current.options = change_row(current, change);
  });
  // What it leased when it was made: the next start leases anew.
  if (change.action == NetworkChange::Action::kDisconnect) {
    const std::string& network = change.add.networks.front().name;
    state_->store.release_address(row.id, network);
    state_->store.release_address(row.id, network + "/6");
  }
  state_->directory_of(row.id).remove();
}

void connect_network(Engine& engine, std::string_view name_or_id, const NetworkOption& option) {
  NetworkChange change{.action = NetworkChange::Action::kConnect, .add = {}, .remove = {}};
  change.add.networks.push_back(option);
  resolve_networks(engine.store(), engine.config(), change.add);
  plan_attachments(engine.store(), engine.config(), change.add);  // refuses what makes no sense
  engine.change_network(name_or_id, change);
  log_connection(engine, "connect", load_network_row(engine.store(), engine.config(), option.name),
                 engine.load_container(name_or_id).row.id);
}

void disconnect_network(Engine& engine, std::string_view name_or_id, std::string_view network,
                        DisconnectForce force) {
  NetworkChange change{.action = NetworkChange::Action::kDisconnect, .add = {}, .remove = {}};
  const storage::NetworkRow row = load_network_row(engine.store(), engine.config(), network);
  change.add.networks.push_back({.name = row.name});
  const auto found = engine.find_container(name_or_id);
  if (!found && force == DisconnectForce::kYes) return;
  const ContainerInfo info = found ? *found : engine.load_container(name_or_id);
  const std::string& name = change.add.networks.front().name;
  bool is_on = info.options.networks.empty() && info.options.network == NetworkMode::kBridge &&
               name == "bridge";
  for (const NetworkOption& option : info.options.networks) is_on = is_on || option.name == name;
  if (!is_on && info.network.find(name) == nullptr) {
    throw base::Error(base::ErrorKind::kConflict,
                      "container " + info.row.id + " is not connected to the network " + name);
  }
  engine.change_network(info.row.id, change);
  log_connection(engine, "disconnect", row, info.row.id);
}

void change_ports(Engine& engine, std::string_view name_or_id, const std::vector<PortOption>& add,
                  const std::vector<PortOption>& remove) {
  NetworkChange change{.action = NetworkChange::Action::kPublish, .add = {}, .remove = {}};
  change.add.ports = add;
  change.remove.ports = remove;
  engine.change_network(name_or_id, change);
}

}  // namespace engine
