#include "engine/change_source.h"

#include <cerrno>
#include <fcntl.h>

#include "base/error.h"
#include "engine/bundle.h"
#include "engine/engine_state.h"
#include "engine/mount_plan.h"

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

}  // namespace

ChangeSource open_change_source(storage::Store& store, const storage::ContainerRow& row) {
  ChangeSource source;
  const fs::path upper = store.container_dir(row.id) / "upper";
  source.upper.reset(open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!source.upper && errno != ENOENT) base::throw_errno(upper.string());
  source.lower = open_tree(store, store.load_image(row.image), {}).open_merged();
  source.hidden = mount_targets(store, parse_options(row.options));
  return source;
}

std::vector<storage::Change> Engine::diff(std::string_view name_or_id) {
  const ChangeSource source =
      open_change_source(state_->store, load_row(state_->store, name_or_id));
  if (!source.upper) return {};
  return storage::list_changes(source.upper.get(), source.lower.get(), {.hidden = source.hidden});
}

}  // namespace engine
