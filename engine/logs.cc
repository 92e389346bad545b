#include "base/process.h"
#include "engine/container_log.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/reconcile.h"

namespace engine {

void Engine::logs(std::string_view name_or_id, const LogOptions& options,
                  const std::function<void(bool is_stderr, std::string_view)>& sink) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  const ContainerOptions container = parse_options(row.options);
  // Taken before the first look at the file, so that what the monitor writes meanwhile is not lost.
  const auto writer =
      is_active(row.status) ? base::open_process(row.monitor) : std::optional<base::UniqueFd>();
  read_log(state_->store, row, container, options, sink, writer ? writer->get() : -1);
}

}  // namespace engine
