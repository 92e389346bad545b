// UnitDesign: a container's systemd unit with the groups that come of it, worked out before it is
// asked for.
#pragma once

#include <string>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"
#include "runtime/systemd.h"

namespace runtime {

struct UnitDesign {
  std::string bus;
  SystemdUnit unit;
  std::vector<BusProperty> annotations;  // those that the spec gives it
  bool attaches = false;  // systemd follows processes in a hierarchy that ours do not join
  CgroupPlan cgroups;     // in all hierarchies, and on v1 in the one where systemd looks
};

// Of a container whose options name a bus. Throws kInvalid.
UnitDesign design_unit(const oci::RuntimeSpec& spec, const CreateOptions& options,
                       const CgroupHost& host);

// Asks for it, with the placeholder in it.
void start_designed_unit(const UnitDesign& design, const std::string& id,
                         const oci::Resources& resources, const Placeholder& placeholder);

}  // namespace runtime
