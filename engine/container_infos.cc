#include "engine/container_infos.h"

#include <optional>
#include <utility>

#include "engine/engine_state.h"
#include "engine/reconcile.h"

namespace engine {

void visit_container_infos(Engine& engine, const InfoScope& scope,
                           const std::function<bool(const ContainerInfo&)>& visit) {
  using enum storage::ContainerTexts;
  const storage::ContainerTexts texts = scope.stopped ? scope.texts_of_stopped : kAll;
  const bool with_texts = texts == kAll;
  std::vector<storage::ContainerRow> rows =
      storage::list_containers(engine.store(), {.stopped = scope.stopped, .texts = texts});
  std::optional<ContainerInfo> short_info;  // one for all: most of it is options that nobody sees
  for (storage::ContainerRow& row : rows) {
    bool goes_on = true;
    if (!is_active(row.status)) {
      if (with_texts) {
        goes_on = visit(make_info(engine.store(), std::move(row)));
      } else {
        if (short_info) {
          short_info->row = std::move(row);
        } else {
          short_info.emplace(ContainerInfo{.row = std::move(row), .options = {}});
        }
        goes_on = visit(*short_info);
      }
    } else if (with_texts && RunDirectory(engine.config().state, row.id).is_locked()) {
      goes_on = visit(make_info(engine.store(), std::move(row)));
    } else if (const auto info = engine.find_container(row.id)) {  // which settles it
      if (is_active(info->row.status) || scope.stopped) goes_on = visit(*info);
    }
    if (!goes_on) return;
  }
}

}  // namespace engine
