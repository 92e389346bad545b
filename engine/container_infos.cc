#include "engine/container_infos.h"

#include "engine/engine_state.h"
#include "engine/reconcile.h"
#include "storage/container_list.h"

namespace engine {

void visit_container_infos(Engine& engine, const InfoScope& scope,
                           const std::function<bool(const ContainerInfo&)>& visit) {
  const bool with_texts = scope.options_of_stopped || !scope.stopped;
  std::vector<storage::ContainerRow> rows =
      storage::list_containers(engine.store(), {.stopped = scope.stopped, .texts = with_texts});
  for (storage::ContainerRow& row : rows) {
    bool goes_on = true;
    if (!is_active(row.status)) {
      goes_on = with_texts ? visit(make_info(engine.store(), row))
                           : visit({.row = std::move(row), .options = {}});
    } else if (with_texts && RunDirectory(engine.config().state, row.id).is_locked()) {
      goes_on = visit(make_info(engine.store(), row));
    } else if (const auto info = engine.find_container(row.id)) {  // which settles it
      if (is_active(info->row.status) || scope.stopped) goes_on = visit(*info);
    }
    if (!goes_on) return;
  }
}

std::vector<ContainerInfo> list_container_infos(Engine& engine, const InfoScope& scope) {
  std::vector<ContainerInfo> infos;
  visit_container_infos(engine, scope, [&](const ContainerInfo& info) {
    infos.push_back(info);
    return true;
  });
  return infos;
}

}  // namespace engine
