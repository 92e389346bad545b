#include <sys/stat.h>

#include "base/error.h"
#include "base/process.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/exit_record.h"
#include "engine/log_reader.h"
#include "engine/reconcile.h"

namespace engine {

void Engine::logs(std::string_view name_or_id, const LogOptions& options,
                  const std::function<void(bool is_stderr, std::string_view)>& sink) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  const ContainerOptions container = parse_options(row.options);
  if (container.log_driver == "none") {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "configured logging driver does not support reading");
  }
  // Taken before the first look at the file, so that what the monitor writes meanwhile is not lost.
  const auto writer =
      is_active(row.status) ? base::open_process(row.monitor) : std::optional<base::UniqueFd>();
  LogReader reader(log_path(state_->store, row.id), options, sink);
  reader.read_existing();
  if (options.follow && writer) reader.follow(writer->get());
}

}  // namespace engine
