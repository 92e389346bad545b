// Update: a container's limits and restart policy changed while it lives.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/resource_limits.h"
#include "engine/restart_policy.h"

namespace engine {

struct UpdateRequest {
  ResourceLimits limits;  // what is said is changed
  std::optional<RestartRule> restart;
};

// What the options become is checked, made so for a container that runs, and kept for its next
// start. Its monitor looks at the restart policy when the container ends. Throws kInvalid, in
// docker's words, where it makes no sense, and the runtime's error where the kernel refuses; then
// nothing is kept. Returns docker's warnings.
std::vector<std::string> update_container(Engine& engine, std::string_view name_or_id,
                                          const UpdateRequest& request);

}  // namespace engine
