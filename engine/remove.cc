#include <ctime>

#include "base/error.h"
#include "base/time.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/exit_record.h"
#include "engine/inspect_words.h"
#include "engine/monitor_start.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

constexpr int kCleanupSeconds = 30;

[[noreturn]] void refuse_running(const storage::ContainerRow& row) {
  const bool paused = row.status == storage::ContainerStatus::kPaused;
  throw base::Error(
      base::ErrorKind::kConflict,
      "You cannot remove a " + std::string(status_word(row.status)) + " container " + row.id +
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

// A container that did not run may have been about to: while its lock is held, its row is read
// again.
std::optional<base::UniqueFd> Engine::State::lock_for_removal(const storage::ContainerRow& row,
                                                              RemoveForce force) {
  const base::Nanoseconds deadline = base::now() + kCleanupSeconds * 1'000'000'000LL;
  for (;;) {
    if (auto lock = directory_of(row.id).try_lock()) return lock;
    const auto current = store.find_container(row.id);
    if (!current) return std::nullopt;
    if (is_active(current->status)) {
      if (force == RemoveForce::kNo) refuse_running(*current);
      kill_and_wait(*current);
    }
    if (base::now() > deadline) {
      throw base::Error(base::ErrorKind::kUnavailable,
                        "container " + row.id + " is still being changed by another command");
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

void Engine::remove(std::string_view name_or_id, RemoveForce force, RemoveVolumes volumes) {
  storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (is_active(row.status)) {
    if (force == RemoveForce::kNo) refuse_running(row);
    state_->kill_and_wait(row);
    if (row.auto_remove) return;  // it has removed itself
  }
  const auto lock = state_->lock_for_removal(row, force);
  if (!lock) return;  // it has removed itself
  if (!tear_down(state_->directory_of(row.id))) {
    throw base::Error(base::ErrorKind::kUnavailable,
                      "container " + row.id + " can't be removed: its processes do not end");
  }
  state_->remove_stopped(row, volumes);
  state_->store.discard_trash();
}

}  // namespace engine
