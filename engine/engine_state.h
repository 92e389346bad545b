// Engine::State: what one Engine holds; for the .cc files that implement Engine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/monitor_link.h"
#include "engine/run_directory.h"
#include "storage/store.h"

namespace engine {

// A container that create() has made for a start that follows at once.
struct PreparedStart {
  BundleInput input;
  base::UniqueFd lock;
};

struct Engine::State {
  State(Config given, Purpose purpose)
      : config(std::move(given)),
        monitor(purpose == Purpose::kStart ? std::make_optional<NewMonitor>(config) : std::nullopt),
        store(config.root) {}

  RunDirectory directory_of(std::string_view id) const { return {config.state, id}; }
  // Whether a monitor (or a command that is starting one) has it.
  bool is_alive(std::string_view id) const { return directory_of(id).is_locked(); }

  storage::ContainerRow load_current_row(std::string_view name_or_id);
  // Throws kConflict "Container x is not running".
  storage::ContainerRow load_running_row(std::string_view name_or_id);
  // Locks a container that does not run, waiting for a monitor that is still cleaning up and for
  // other commands. nullopt: one of those has started it.
  std::optional<base::UniqueFd> lock_stopped(const storage::ContainerRow& row, int seconds);

  // A container that starts meanwhile is killed where forced. nullopt: it is gone.
  std::optional<base::UniqueFd> lock_for_removal(const storage::ContainerRow& row,
                                                 RemoveForce force);

  // The monitor has it and the program is about to execute: kStarted or kError comes next.
  // `patience`: how many seconds a monitor that is ending may take. nullopt: it runs by now,
  // because another command was quicker.
  std::optional<MonitorLink> begin_start(std::string_view name_or_id, std::uint8_t flags,
                                         std::uint8_t wants, int patience = 30);
  // Starts those that are to run again; returns what went wrong, a line each.
  std::vector<std::string> revive(const std::vector<std::string>& wanted);

  // Sends the stop signal, waits, kills, until the exit is recorded.
  void stop_running(const storage::ContainerRow& row, std::optional<int> seconds,
                    std::string_view signal);
  void kill_and_wait(const storage::ContainerRow& row);
  void remove_stopped(const storage::ContainerRow& row, RemoveVolumes volumes);

  Config config;
  std::optional<NewMonitor> monitor;  // started early, for the first container that wants one
  storage::Store store;
  std::optional<PreparedStart> prepared;
};

ContainerInfo make_info(const storage::Store& store, storage::ContainerRow row);

}  // namespace engine
