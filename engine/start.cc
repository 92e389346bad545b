#include <cerrno>
#include <ctime>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/attach_client.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/events.h"
#include "engine/exit_record.h"
#include "engine/network_attach.h"
#include "engine/reconcile.h"
#include "engine/volumes.h"

namespace engine {
namespace {

std::uint8_t wanted_streams(const AttachOptions& attach) {
  return static_cast<std::uint8_t>((attach.stdin_open ? kHelloStdin : 0) |
                                   (attach.stdout_open ? kHelloStdout : 0) |
                                   (attach.stderr_open ? kHelloStderr : 0));
}

std::uint8_t job_flags(bool attached) {
  return static_cast<std::uint8_t>((attached ? kJobAttached : 0) |
                                   (base::is_tracing() ? kJobTrace : 0));
}

[[noreturn]] void refuse_paused() {
  throw base::Error(base::ErrorKind::kConflict,
                    "cannot start a paused container, try unpause instead");
}

}  // namespace

std::optional<base::UniqueFd> Engine::State::lock_stopped(const storage::ContainerRow& row,
                                                          int seconds) {
  const RunDirectory directory = directory_of(row.id);
  const base::Nanoseconds deadline = base::now() + seconds * 1'000'000'000LL;
  for (;;) {
    if (auto lock = directory.try_lock()) return lock;
    // Where its row says that it ended, the monitor tidies up, which takes a millisecond or two.
    const auto current = store.find_container(row.id);
    if (current && is_active(current->status)) return std::nullopt;
    if (base::now() > deadline) {
      throw base::Error(base::ErrorKind::kUnavailable,
                        "container " + row.id + " is still being changed by another command");
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

std::optional<MonitorLink> Engine::State::begin_start(std::string_view name_or_id,
                                                      std::uint8_t flags, std::uint8_t wants,
                                                      int patience) {
  const bool is_prepared = prepared && prepared->input.row.id == name_or_id;
  if (!is_prepared) {
    const storage::ContainerRow row = load_current_row(name_or_id);
    auto lock = lock_stopped(row, patience);
    if (!lock) return std::nullopt;
    // What other commands did before we had the lock counts.
    prepared.emplace(PreparedStart{.input = load_bundle_input(store, load_row(store, row.id)),
                                   .lock = std::move(*lock)});
  }
  PreparedStart start = std::move(*prepared);
  prepared.reset();
  BundleInput& input = start.input;
  const RunDirectory directory = directory_of(input.row.id);
  try {
    if (!monitor) monitor.emplace(config);
    if (!is_prepared) {
      make_volumes(store, input.options,
                   open_tree(store, input.image, store.container_dir(input.row.id)));
    }
    if (!is_prepared) {
      write_new_bundle(store, config, directory, input);
    } else {
      set_ports(input.network, input.options, input.image_config, config, store);
      write_bundle(store, config, directory, input);
    }
    MonitorLink link = monitor->hand_over(input.row.id, std::move(start.lock), flags, wants);
    monitor.reset();
    return link;
  } catch (const base::Error& error) {
    record_failure(store, input.row, error);
    directory.remove();
    throw;
  }
}

std::vector<std::string> Engine::State::revive(const std::vector<std::string>& wanted) {
  std::vector<std::string> failures;
  for (const std::string& id : wanted) {
    try {
      base::trace("engine", "start container " + id + " again, as its restart policy wants");
      if (auto link = begin_start(id, 0, 0, 0)) wait_until_started(*link);
    } catch (const base::Error& error) {
      // Its row says why; or another command is starting it right now.
      if (!is_alive(id)) failures.push_back("container " + id + ": " + error.what());
    }
  }
  return failures;
}

std::vector<std::string> Engine::start_wanted() {
  return state_->revive(list_wanted(state_->store, StoppedToo::kNo));
}

void Engine::start(std::string_view name_or_id) {
  if (!state_->prepared) {
    const storage::ContainerRow row = state_->load_current_row(name_or_id);
    if (row.status == storage::ContainerStatus::kPaused) refuse_paused();
    if (is_active(row.status)) return;  // docker: nothing to do is success
  }
  if (auto link = state_->begin_start(name_or_id, job_flags(false), 0)) wait_until_started(*link);
}

std::optional<int> Engine::start_attached(std::string_view name_or_id,
                                          const AttachOptions& attach) {
  if (!state_->prepared) {
    const storage::ContainerRow row = state_->load_current_row(name_or_id);
    if (row.status == storage::ContainerStatus::kPaused) refuse_paused();
    if (is_active(row.status)) return this->attach(name_or_id, attach);
  }
  const std::string id =
      state_->prepared ? state_->prepared->input.row.id : load_row(state_->store, name_or_id).id;
  const bool tty = state_->prepared ? state_->prepared->input.options.tty
                                    : parse_options(load_row(state_->store, id).options).tty;
  {
    AttachClient client({.tty = tty,
                         .stdin_open = attach.stdin_open,
                         .forward_signals = attach.forward_signals && !tty,
                         .detach_keys = attach.detach_keys});
    if (auto link = state_->begin_start(id, job_flags(true), wanted_streams(attach))) {
      wait_until_started(*link);
      return client.run(*link);
    }
  }
  return this->attach(id, attach);
}

std::optional<int> Engine::attach(std::string_view name_or_id, const AttachOptions& attach) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (row.status == storage::ContainerStatus::kPaused) {
    throw base::Error(base::ErrorKind::kConflict,
                      "You cannot attach to a paused container, unpause it first");
  }
  if (row.status == storage::ContainerStatus::kRestarting) {
    throw base::Error(base::ErrorKind::kConflict,
                      "You cannot attach to a restarting container, wait until it is running");
  }
  if (!is_active(row.status)) {
    throw base::Error(base::ErrorKind::kConflict,
                      "You cannot attach to a stopped container, start it first");
  }
  const bool tty = parse_options(row.options).tty;
  AttachClient client({.tty = tty,
                       .stdin_open = attach.stdin_open,
                       .forward_signals = attach.forward_signals && !tty,
                       .detach_keys = attach.detach_keys});
  add_container_event(state_->store, row, "attach");
  auto link = connect_monitor(state_->directory_of(row.id), wanted_streams(attach));
  if (!link) {
    throw base::Error(base::ErrorKind::kUnavailable, "container " + row.id + " ended just now");
  }
  const std::optional<int> code = client.run(*link);
  if (!code) add_container_event(state_->store, row, "detach");
  return code;
}

}  // namespace engine
