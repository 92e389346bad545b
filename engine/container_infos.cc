#include "engine/container_infos.h"

#include "engine/engine_state.h"
#include "engine/reconcile.h"

namespace engine {

std::vector<ContainerInfo> list_container_infos(Engine& engine, const InfoScope& scope) {
  std::vector<storage::ContainerRow> rows = engine.store().list_containers();
  std::vector<ContainerInfo> infos;
  infos.reserve(rows.size());  // they are large, and there may be ten thousand
  for (storage::ContainerRow& row : rows) {
    if (!is_active(row.status)) {
      if (!scope.stopped) continue;
      if (scope.options_of_stopped) {
        infos.push_back(make_info(engine.store(), row));
      } else {
        infos.push_back({.row = std::move(row), .options = {}});
      }
      continue;
    }
    if (RunDirectory(engine.config().state, row.id).is_locked()) {
      infos.push_back(make_info(engine.store(), row));
    } else if (auto info = engine.find_container(row.id)) {  // which settles it
      if (is_active(info->row.status) || scope.stopped) infos.push_back(std::move(*info));
    }
  }
  return infos;
}

}  // namespace engine
