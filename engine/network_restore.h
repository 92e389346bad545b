// Network restore: rules and published ports that somebody took away (`nft flush ruleset`), put
// back for the containers that run.
#pragma once

#include "engine/engine.h"
#include "engine/network_state.h"
#include "network/bridge.h"
#include "storage/store.h"

namespace engine {

// network::ensure_bridge() that knows the store's running containers.
void ensure_bridge(storage::Store& store, const Config& config,
                   const network::BridgeConfig& bridge);

// The same for a container that is about to join it. A network that was removed meanwhile stays so:
// kNotFound.
void ensure_bridge(storage::Store& store, const Config& config, const Attachment& attachment);

// A file of the state directory: ports are being put back. One that stays is of a killed command.
inline constexpr const char* kRestoringMark = "restoring";

// Takes back what is published for containers that nobody runs; then the mark goes.
void withdraw_strays(storage::Store& store, const Config& config);

// For commands that start nothing: costs a few questions to the kernel where all is in place, and
// fails silently otherwise, since the command is about something else. `example`: of any container
// that runs; all networks share one table.
void restore_network(storage::Store& store, const Config& config,
                     const NetworkState& example) noexcept;

}  // namespace engine
