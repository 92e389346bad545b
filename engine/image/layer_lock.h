// Layer lock: one process at a time makes a layer; the others wait and then have it.
#pragma once

#include <functional>
#include <optional>

#include "base/unique_fd.h"
#include "engine/image/shared_store.h"

namespace engine {

// The lock under which the caller makes the layer. Another process that makes it now is waited for:
// what it makes is ours, too; nullopt where the layer is there. Throws once `is_cancelled` says so.
std::optional<base::UniqueFd> lock_unless_present(SharedStore& shared, const storage::LayerKey& key,
                                                  const std::function<bool()>& is_cancelled);

}  // namespace engine
