#include "runtime/unit_design.h"

namespace runtime {

UnitDesign design_unit(const oci::RuntimeSpec& spec, const CreateOptions& options,
                       const CgroupHost& host) {
  UnitDesign design{.bus = options.systemd_bus.value(),
                    .unit = parse_systemd_unit(spec.linux_.cgroups_path, options.id),
                    .annotations = parse_unit_annotations(spec.annotations),
                    .attaches = host.layout == CgroupLayout::kHybrid,
                    .cgroups = {}};
  if (options.systemd_is_users) put_below_manager(design.unit, design.bus);
  design.cgroups = plan_cgroups(design.unit.cgroup_path, spec.linux_.resources, host);
  design.cgroups.adopts = true;
  for (const CgroupHierarchy& each : host.v1) {
    if (each.controllers != std::vector<std::string>{"name=systemd"}) continue;
    const std::string directory = each.mount_point + design.unit.cgroup_path;
    design.cgroups.directories.push_back(directory);
    design.cgroups.task_files.push_back(directory + "/tasks");
  }
  return design;
}

void start_designed_unit(const UnitDesign& design, const std::string& id,
                         const oci::Resources& resources, const Placeholder& placeholder) {
  const bool is_v2 = !design.cgroups.clone_into.empty();
  std::vector<BusProperty> properties =
      plan_unit(design.unit, id, placeholder.pid(), resources,
                is_v2 ? SystemdCgroups::kV2 : SystemdCgroups::kV1);
  properties.insert(properties.end(), design.annotations.begin(), design.annotations.end());
  start_unit(design.bus, design.unit, properties);
}

}  // namespace runtime
