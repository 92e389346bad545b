// Reconcile: what a killed monitor or command left behind, put right by the next command.
#pragma once

#include <string_view>

#include "engine/engine.h"
#include "engine/run_directory.h"
#include "storage/store.h"

namespace engine {

// Costs one directory listing, one lock query for each running container, and, where one of them is
// on the bridge, a look at the firewall. Where the state
// directory does not exist yet (the first command after a boot) every row is looked at.
void reconcile(storage::Store& store, const Config& config);

// One container whose row says it runs, but which nobody watches: kills what is left of it and
// records its end. The row as it is then; nullopt where it went, as --rm asked.
std::optional<storage::ContainerRow> settle_orphan(storage::Store& store, const Config& config,
                                                   const storage::ContainerRow& row);

bool is_active(storage::ContainerStatus status);  // running or paused

}  // namespace engine
