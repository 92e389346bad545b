// Containers that share another's network keep its namespace when it ends; its links go all the
// same.
#pragma once

#include <string>

#include "engine/network_state.h"
#include "engine/run_directory.h"

namespace engine {

// Notes in the owner's run directory that `sharer` is about to join the network: before it opens
// the namespace, so that the owner's end can't miss it. An owner that has ended is no error here.
void note_sharer(const RunDirectory& owner, const std::string& sharer);

// After the owner's processes have ended and before its addresses are free for others: takes its
// links out of each namespace that a sharer still has. Waits (at most two seconds) for one that is
// just starting. Costs one failed open(2) where there was none. Throws what can't be taken away.
void disconnect_sharers(const RunDirectory& owner, const NetworkState& network);

}  // namespace engine
