#include "base/error.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/exit_record.h"
#include "engine/monitor_start.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

constexpr int kCleanupSeconds = 30;

[[noreturn]] void refuse_running(const storage::ContainerRow& row) {
  const bool paused = row.status == storage::ContainerStatus::kPaused;
  throw base::Error(base::ErrorKind::kConflict,
                    "You cannot remove a " + std::string(paused ? "paused" : "running") +
                        " container " + row.id +
                        (paused ? ". Unpause and then stop the container before attempting removal "
                                  "or force remove"
                                : ". Stop the container before attempting removal or force remove"));
}

}  // namespace

// The row first: a kill after it leaves a directory that every sweep recognises.
void Engine::State::remove_stopped(const storage::ContainerRow& row, RemoveVolumes volumes) {
  const ContainerOptions options = parse_options(row.options);
  store.remove_container(row.id);
  const bool with_volumes = volumes == RemoveVolumes::kYes;
  discard_container_files(store, row, with_volumes ? options : ContainerOptions{});
  directory_of(row.id).remove();
}

void Engine::remove(std::string_view name_or_id, RemoveForce force, RemoveVolumes volumes) {
  storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (is_active(row.status)) {
    if (force == RemoveForce::kNo) refuse_running(row);
    state_->kill_and_wait(row);
    if (row.auto_remove) return;  // it has removed itself
  }
  const base::UniqueFd lock = state_->lock_stopped(row, kCleanupSeconds);
  // Somebody may have started or removed it before we had the lock.
  const auto current = state_->store.find_container(row.id);
  if (current && is_active(current->status)) {
    // Its lock is ours, so nobody runs it: a monitor was killed meanwhile.
    tear_down(state_->directory_of(row.id));
  }
  state_->remove_stopped(row, volumes);
  state_->store.discard_trash();
}

}  // namespace engine
