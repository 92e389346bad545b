// Reconcile: what a killed monitor or command left behind, put right by the next command.
#pragma once

#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/run_directory.h"
#include "storage/store.h"

namespace engine {

// Costs one directory listing, one lock query for each running container, and, where one of them is
// on the bridge, a look at the firewall. Where the state
// directory does not exist yet (the first command after a boot) every row is looked at. Returns
// the containers that should run and do not: those whose monitor was lost or, after a boot, all
// that their restart policy wants. `is_revived`: whether the latter has happened in this boot.
std::vector<std::string> reconcile(storage::Store& store, const Config& config, bool& is_revived);

// Those of them that ran once; `stopped_too`: also those of "always" that a user has stopped.
enum class StoppedToo { kNo, kYes };
std::vector<std::string> list_wanted(storage::Store& store, StoppedToo stopped_too);

// To be called when everything that reconcile() wanted after a boot was tried.
void mark_revived(const Config& config);

// One container whose row says it runs, but which nobody watches: kills what is left of it and
// records its end. The row as it is then; nullopt where it went, as --rm asked.
std::optional<storage::ContainerRow> settle_orphan(storage::Store& store, const Config& config,
                                                   const storage::ContainerRow& row);

bool is_active(storage::ContainerStatus status);    // a monitor has it: running or about to be
bool has_process(storage::ContainerStatus status);  // running or paused

}  // namespace engine
