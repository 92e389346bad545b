#include "engine/change_source.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

#include "base/error.h"
#include "engine/bundle.h"
#include "engine/engine_state.h"
#include "engine/isolation.h"
#include "engine/mount_plan.h"
#include "runtime/id_mapped.h"

namespace engine {
namespace {

constexpr char kSomewhere[] = "/dev/null";  // the plan needs sources, we only its destinations

std::set<std::string> mount_targets(storage::Store& store, const ContainerOptions& options) {
  MountPlanInput input;
  input.mounts = resolve_mounts(store, options, BindSource::kOnlyNamed);
  input.hosts = input.hostname = input.resolv_conf = kSomewhere;
  if (options.init) input.init_program = kSomewhere;
  std::set<std::string> targets;
  for (const oci::Mount& mount : plan_mounts(options, input)) targets.insert(mount.destination);
  return targets;
}

// What users of a user namespace have written belongs to their ids outside.
base::UniqueFd open_as_inside(storage::Store& store, const std::string& id,
                              const ContainerOptions& options, const fs::path& upper) {
  UserMappings ids = take_user_mappings(store, id, options, SlotUse::kTake);
  for (auto* mappings : {&ids.uids, &ids.gids}) {
    for (oci::IdMapping& mapping : *mappings) std::swap(mapping.container_id, mapping.host_id);
  }
  return runtime::open_with_ids(upper, ids.uids, ids.gids);
}

}  // namespace

ChangeSource open_change_source(storage::Store& store, const storage::ContainerRow& row) {
  ChangeSource source;
  const fs::path upper = store.container_dir(row.id) / "upper";
  const ContainerOptions options = parse_options(row.options);
  source.upper.reset(open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (source.upper && has_user_namespace(options)) {
    source.upper = open_as_inside(store, row.id, options, upper);
  }
  if (!source.upper && errno != ENOENT) base::throw_errno(upper.string());
  source.lower = open_tree(store, store.load_image(row.image), {}).open_merged();
  source.hidden = mount_targets(store, options);
  source.hidden.insert(kContainerMark);
  return source;
}

std::vector<storage::Change> Engine::diff(std::string_view name_or_id) {
  const ChangeSource source =
      open_change_source(state_->store, load_row(state_->store, name_or_id));
  if (!source.upper) return {};
  return storage::list_changes(source.upper.get(), source.lower.get(), {.hidden = source.hidden});
}

}  // namespace engine
