#include "engine/update.h"

#include "base/error.h"
#include "engine/events.h"
#include "engine/reconcile.h"
#include "engine/resource_plan.h"
#include "engine/run_directory.h"
#include "runtime/container.h"

namespace engine {
namespace {

// Only what differs is asked of the kernel: a limit that never was needs no group of its own.
oci::Resources changed_resources(const ResourceLimits& old_limits, const ResourceLimits& limits) {
  const oci::Resources before = plan_limits(old_limits);
  oci::Resources after = plan_limits(limits);
  if (after.memory == before.memory) after.memory = {};
  if (after.cpu == before.cpu) after.cpu = {};
  if (after.pids_limit == before.pids_limit) after.pids_limit.reset();
  if (after.block_io == before.block_io) after.block_io = {};
  return after;
}

void apply_request(const UpdateRequest& request, ContainerOptions& options) {
  options.limits = merge_limits(options.limits, request.limits);
  if (request.restart) options.restart = *request.restart;
}

}  // namespace

std::vector<std::string> update_container(Engine& engine, std::string_view name_or_id,
                                          const UpdateRequest& request) {
  const ContainerInfo info = engine.load_container(name_or_id);
  ContainerOptions options = info.options;
  apply_request(request, options);
  if (options.auto_remove && options.restart.policy != RestartPolicy::kNo) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "Restart policy cannot be updated because AutoRemove is enabled for the "
                      "container");
  }
  std::vector<std::string> warnings = check_limits(options.limits, find_resource_support());
  if (has_process(info.row.status)) {
    const RunDirectory directory(engine.config().state, info.row.id);
    const oci::Resources changed = changed_resources(info.options.limits, options.limits);
    if (changed != oci::Resources{}) runtime::update(directory.runtime(), changed);
  }
  const auto row =
      engine.store().modify_container(info.row.id, [&](storage::ContainerRow& current) {
        ContainerOptions latest = parse_options(current.options);
        latest.limits = options.limits;
        if (request.restart) latest.restart = *request.restart;
        current.options = render_options(latest);
      });
  if (row) add_container_event(engine.store(), *row, "update");
  return warnings;
}

}  // namespace engine
