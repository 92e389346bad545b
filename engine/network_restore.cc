#include "engine/network_restore.h"

#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/bridge_network.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

std::vector<network::Connected> list_running(storage::Store& store, const Config& config) {
  std::vector<network::Connected> connected;
  for (const storage::ContainerRow& row : store.list_containers()) {
    if (!has_process(row.status) || !RunDirectory(config.state, row.id).is_locked()) continue;
    for (Attachment& attachment : parse_network_state(row.ports).attachments) {
      if (!attachment.cni.empty()) continue;
      if (attachment.link.kind != network::LinkKind::kBridge) continue;
      connected.push_back({std::move(attachment.link), std::move(attachment.endpoint)});
    }
  }
  return connected;
}

// A monitor takes its ports back before it writes that its container has ended, and once more
// afterwards: what ended while we published is withdrawn by it or by us, whoever is last.
void withdraw_ended(storage::Store& store, const network::BridgeConfig& bridge,
                    const std::vector<network::Connected>& connected) {
  for (const auto& [config, endpoint] : connected) {
    if (endpoint.ports.empty()) continue;
    const auto row = store.find_container(endpoint.container_id);
    if (!row || !has_process(row->status)) network::unpublish(bridge, endpoint);
  }
}

// The mark tells the next command that we were killed between publishing and withdrawing.
template <class Ensure>
void publish_running(storage::Store& store, const Config& config,
                     const network::BridgeConfig& bridge, Ensure ensure) {
  std::vector<network::Connected> published;
  bool marked = false;
  const fs::path mark = config.state / kRestoringMark;
  ensure(bridge, [&] {
    base::write_file(mark, "");
    marked = true;
    return published = list_running(store, config);
  });
  withdraw_ended(store, bridge, published);
  if (marked) unlink(mark.c_str());
}

}  // namespace

void ensure_bridge(storage::Store& store, const Config& config,
                   const network::BridgeConfig& bridge) {
  publish_running(store, config, bridge, network::ensure_bridge);
}

void ensure_bridge(storage::Store& store, const Config& config, const Attachment& attachment) {
  ensure_bridge(store, config, attachment.link);
  if (attachment.network == kBridgeNetwork) return;
  // Who removes a network takes the row away and then what is there: either that was after us, or
  // we see that the row is gone.
  const auto row = store.find_network(attachment.network);
  if (row && (row->id == attachment.network_id || attachment.network_id.empty())) return;
  network::remove_network(attachment.link);
  throw base::Error(base::ErrorKind::kNotFound, "network " + attachment.network + " not found");
}

void withdraw_strays(storage::Store& store, const Config& config) {
  const network::BridgeConfig names = plan_bridge_names(store.root());
  for (const network::Endpoint& endpoint : network::list_published(names)) {
    // Whoever starts, runs or ends a container holds its lock as long as its ports are published.
    if (!RunDirectory(config.state, endpoint.container_id).is_locked()) {
      network::unpublish(names, endpoint);
    }
  }
  unlink((config.state / kRestoringMark).c_str());
}

void restore_network(storage::Store& store, const Config& config,
                     const NetworkState& example) noexcept {
  try {
    const Attachment* const attachment = example.translated();
    if (attachment != nullptr) {
      publish_running(store, config, attachment->link, network::restore_firewall);
    }
  } catch (const std::exception& error) {
    base::trace("engine", error.what());
  }
}

}  // namespace engine
