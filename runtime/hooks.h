// Hooks: programs of the spec that run at set moments with the container's state on their stdin.
#pragma once

#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/state.h"

namespace runtime {

// In our own namespaces, in order. The first that fails, or runs out of time, throws with what it
// wrote to stderr.
void run_hooks(const std::vector<oci::Hook>& hooks, const char* name, const State& state);

// The same in the namespaces of the container's process: createContainer before its pivot,
// startContainer after it.
void run_hooks_inside(const std::vector<oci::Hook>& hooks, const char* name, const Record& record,
                      int pidfd);

// poststart and poststop: a failure is traced and the others still run.
void run_late_hooks(const std::vector<oci::Hook>& hooks, const char* name,
                    const State& state) noexcept;

}  // namespace runtime
