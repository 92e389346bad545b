// Resource limits of the runtime spec as values for cgroup v1 and v2 files.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/cgroup.h"

namespace runtime {

// Throws kInvalid for limits that contradict each other.
void check_resources(const oci::Resources& resources);

// The controllers without which some limit could not be set. v1 names; v2's differ only in "io".
std::set<std::string> needed_controllers(const oci::Resources& resources);

// What to write into `directory` of the v1 controller, in order, for a group that has no limits
// yet. Without device rules.
std::vector<CgroupWrite> plan_v1_limits(const std::string& controller, const std::string& directory,
                                        const oci::Resources& resources);
std::vector<CgroupWrite> plan_v2_limits(const std::string& directory,
                                        const oci::Resources& resources);

// The writes that change a living container's limits; looks at what they are now.
std::vector<CgroupWrite> plan_update(const std::vector<std::string>& paths,
                                     const oci::Resources& resources);
// Carries writes out in order; throws naming the file.
void apply_cgroup_writes(const std::vector<CgroupWrite>& writes);

// cgroup v1 shares (2 … 262144, 1024 the default) as v2 weight (1 … 10000, 100 the default), by the
// curve through these three points that runc and crun use. 0 stays 0: unset.
std::uint64_t weight_from_shares(std::uint64_t shares);
// memory+swap of v1 as v2's swap alone; nullopt: leave as it is; -1: no limit.
std::optional<std::int64_t> swap_from_memory_swap(const oci::Resources::Memory& memory);

}  // namespace runtime
