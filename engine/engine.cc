#include "engine/engine.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/engine_state.h"
#include "engine/exit_record.h"
#include "engine/names.h"
#include "engine/network_attach.h"
#include "engine/reconcile.h"

namespace engine {

ContainerInfo make_info(const storage::Store& store, storage::ContainerRow given) {
  ContainerOptions options = parse_options(given.options);
  ContainerInfo info{.row = std::move(given), .options = std::move(options)};
  const storage::ContainerRow& row = info.row;
  if (is_health_checked(info.options.health)) {
    const auto text = base::find_file(health_path(store, row.id));
    if (text) info.health = parse_health(*text);
    if (!text && row.started != 0) info.health.emplace();  // "starting": no result yet
  }
  info.network = parse_network_state(row.ports);
  for (const Attachment& attachment : info.network.attachments) {
    const network::Endpoint& endpoint = attachment.endpoint;
    if (!endpoint.ports.empty()) info.ports = endpoint.ports;
    if (attachment.network != kBridgeNetwork) continue;
    info.ip_address = endpoint.address.str();
    info.gateway = attachment.link.gateway.str();
    info.mac_address = network::format_mac(endpoint.mac);
    info.ip_prefix = attachment.link.subnet.prefix;
  }
  return info;
}

storage::ContainerRow Engine::State::load_current_row(std::string_view name_or_id) {
  storage::ContainerRow row = load_row(store, name_or_id);
  if (!is_active(row.status) || is_alive(row.id)) return row;
  auto settled = settle_orphan(store, config, row);
  if (settled) return *settled;
  throw base::Error(base::ErrorKind::kNotFound, "No such container: " + std::string(name_or_id));
}

storage::ContainerRow Engine::State::load_running_row(std::string_view name_or_id) {
  storage::ContainerRow row = load_current_row(name_or_id);
  if (is_active(row.status)) return row;
  throw base::Error(base::ErrorKind::kConflict, "Container " + row.id + " is not running");
}

Engine::Engine(Config config, Purpose purpose) {
  base::TraceStep step("engine", "open the store");
  state_ = std::make_unique<State>(std::move(config), purpose);
  bool is_revived = false;
  const std::vector<std::string> wanted = reconcile(state_->store, state_->config, is_revived);
  if (!wanted.empty()) state_->revive(wanted);
  if (!is_revived) mark_revived(state_->config);
  state_->store.sweep(storage::Store::Sweep::kQuick);
}

Engine::~Engine() = default;

storage::Store& Engine::store() { return state_->store; }
const Config& Engine::config() const { return state_->config; }

std::optional<ContainerInfo> Engine::find_container(std::string_view name_or_id) {
  if (!state_->store.find_container(name_or_id)) return std::nullopt;
  try {
    return make_info(state_->store, state_->load_current_row(name_or_id));
  } catch (const base::Error& error) {
    if (error.kind() == base::ErrorKind::kNotFound) return std::nullopt;
    throw;
  }
}

ContainerInfo Engine::load_container(std::string_view name_or_id) {
  return make_info(state_->store, state_->load_current_row(name_or_id));
}

std::vector<ContainerInfo> Engine::list_containers() {
  std::vector<ContainerInfo> containers;
  for (const storage::ContainerRow& row : state_->store.list_containers()) {
    if (is_active(row.status) && !state_->is_alive(row.id)) {
      // Between its end and this look: what the row says now, or nothing.
      if (auto settled = settle_orphan(state_->store, state_->config, row)) {
        containers.push_back(make_info(state_->store, *settled));
      }
      continue;
    }
    containers.push_back(make_info(state_->store, row));
  }
  return containers;
}

void Engine::rename(std::string_view name_or_id, std::string_view new_name) {
  if (name_or_id.empty() || new_name.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "Neither old nor new names may be empty");
  }
  const storage::ContainerRow row = load_row(state_->store, name_or_id);
  const std::string name = parse_container_name(new_name);
  if (name == row.name) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "Renaming a container with the same name as its current name");
  }
  state_->store.rename_container(row.id, name);
  // Others find it by its new name at once.
  const NetworkState network = parse_network_state(row.ports);
  if (has_name_server(network)) {
    state_->store.set_hosts(row.id, plan_hosts(load_row(state_->store, row.id), network));
  }
}

}  // namespace engine
