#include "engine/container_infos.h"

#include "engine/engine_state.h"
#include "engine/reconcile.h"
#include "storage/container_list.h"

namespace engine {

std::vector<ContainerInfo> list_container_infos(Engine& engine, const InfoScope& scope) {
  const bool with_texts = scope.options_of_stopped || !scope.stopped;
  std::vector<storage::ContainerRow> rows =
      storage::list_containers(engine.store(), {.stopped = scope.stopped, .texts = with_texts});
  std::vector<ContainerInfo> infos;
  infos.reserve(rows.size());  // they are large, and there may be ten thousand
  for (storage::ContainerRow& row : rows) {
    if (!is_active(row.status)) {
      if (with_texts) {
        infos.push_back(make_info(engine.store(), row));
      } else {
        infos.push_back({.row = std::move(row), .options = {}});
      }
    } else if (with_texts && RunDirectory(engine.config().state, row.id).is_locked()) {
      infos.push_back(make_info(engine.store(), row));
    } else if (auto info = engine.find_container(row.id)) {  // which settles it
      if (is_active(info->row.status) || scope.stopped) infos.push_back(std::move(*info));
    }
  }
  return infos;
}

}  // namespace engine
