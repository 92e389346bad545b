// Network restore: rules and published ports that somebody took away (`nft flush ruleset`), put
// back for the containers that run.
#pragma once

#include "engine/engine.h"
#include "network/bridge.h"
#include "storage/store.h"

namespace engine {

// network::ensure_bridge() that knows the store's running containers.
void ensure_bridge(storage::Store& store, const Config& config,
                   const network::BridgeConfig& bridge);

// For commands that start nothing: costs a few questions to the kernel where all is in place, and
// fails silently otherwise, since the command is about something else.
void restore_network(storage::Store& store, const Config& config) noexcept;

}  // namespace engine
