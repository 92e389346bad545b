#include <algorithm>
#include <csignal>
#include <poll.h>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/events.h"
#include "engine/reconcile.h"
#include "engine/signals.h"
#include "engine/stop_signal.h"
#include "engine/stuck_process.h"
#include "runtime/container.h"

namespace engine {
namespace {

constexpr int kDefaultStopSeconds = 10;
constexpr int kMostStopSeconds = 2'000'000;  // in milliseconds they fit into an int
constexpr int kSettleStepMilliseconds = 10;
constexpr int kLookMilliseconds = 100;  // between two looks at processes that do not end
constexpr int kMonitorDeafMilliseconds = 2'000;
constexpr int kKilledMilliseconds = 12'000;  // what holds much memory takes a while to end
// How long processes stand still until they are given up: where the user said how long a stop may
// take, and where nobody did.
constexpr base::Nanoseconds kStopStillness = 1'000'000'000;
constexpr base::Nanoseconds kKillStillness = 2'000'000'000;
constexpr int kMonitorMilliseconds = 30'000;  // for an answer

// Whether the monitor said, within the time, how the container ended, or ended itself.
bool wait_for_end(MonitorLink& link, int milliseconds) {
  const base::Nanoseconds deadline = base::now() + milliseconds * 1'000'000LL;
  for (;;) {
    FrameReader::Frame frame{};
    while (link.next(frame)) {
      if (frame.type == FrameType::kExit) return true;
    }
    const auto left = milliseconds < 0 ? -1 : (deadline - base::now()) / 1'000'000;
    if (milliseconds >= 0 && left <= 0) return false;
    pollfd item = {.fd = link.fd(), .events = POLLIN, .revents = 0};
    if (poll(&item, 1, static_cast<int>(left)) > 0 && !link.receive()) return true;
  }
}

void signal_init(const storage::ContainerRow& row, int signal) {
  const auto process = base::open_process(row.init);
  if (process) base::send_signal(process->get(), signal);
}

// Through the monitor, which has to know that it is not to start the container again.
void ask_to_stop(MonitorLink& link, int signal) {
  link.send(FrameType::kStop, std::string(1, static_cast<char>(signal)));
}

void ask_monitor(MonitorLink& link, FrameType request) {
  link.send(request, {});
  const base::Nanoseconds deadline = base::now() + kMonitorMilliseconds * 1'000'000LL;
  for (;;) {
    FrameReader::Frame frame{};
    while (link.next(frame)) {
      if (frame.type == FrameType::kDone) return;
      if (frame.type == FrameType::kError) throw parse_error(frame.payload);
    }
    const auto left = (deadline - base::now()) / 1'000'000;
    if (left <= 0) {
      throw base::Error(base::ErrorKind::kUnavailable, "the container's monitor does not answer");
    }
    pollfd item = {.fd = link.fd(), .events = POLLIN, .revents = 0};
    if (poll(&item, 1, static_cast<int>(left)) > 0 && !link.receive()) {
      throw base::Error(base::ErrorKind::kUnavailable, "the container ended just now");
    }
  }
}

// The same, and sees meanwhile who stands still. A negative time: for ever.
bool wait_and_look(MonitorLink& link, StuckWatch& watch, int milliseconds) {
  constexpr int kLong = static_cast<int>(kStopStillness / 1'000'000);
  const int blind = milliseconds < 0 ? -1 : std::max(0, milliseconds - kLong);
  if (blind != 0 && wait_for_end(link, blind)) return true;
  for (int left = milliseconds - blind; left > 0; left -= kLookMilliseconds) {
    watch.look();
    if (wait_for_end(link, std::min(left, kLookMilliseconds))) return true;
  }
  return false;
}

// After SIGKILL.
void wait_for_killed(MonitorLink& link, const storage::ContainerRow& row, StuckWatch& watch) {
  watch.note_kill();
  std::string why;
  bool is_sent = false;  // by us
  for (int passed = 0; passed < kKilledMilliseconds && why.empty(); passed += kLookMilliseconds) {
    if (wait_for_end(link, kLookMilliseconds)) return;
    if (passed >= kMonitorDeafMilliseconds && !std::exchange(is_sent, true)) {
      signal_init(row, SIGKILL);  // should the monitor itself be stuck
    }
    watch.look();
    why = watch.reason();
  }
  if (!is_sent) signal_init(row, SIGKILL);
  if (why.empty()) why = watch.explain();
  throw base::Error(base::ErrorKind::kUnavailable, "container " + row.id +
                                                       " does not end, not even of SIGKILL" +
                                                       (why.empty() ? "" : ": " + why));
}

// Whether the first process will not see the signal, however long one waits. True only of a program
// that has had time to come to its handlers; nullopt: it ended meanwhile.
std::optional<bool> is_lost(MonitorLink& link, const storage::ContainerRow& row, int signal) {
  if (row.init.pid == 0 || signal == SIGKILL) return false;
  while (loses_signal(row.init.pid, signal)) {
    if (base::now() - row.started >= kSettleTime) return true;
    if (wait_for_end(link, kSettleStepMilliseconds)) return std::nullopt;
  }
  return false;
}

int stop_signal_of(const ContainerOptions& options, std::string_view given) {
  if (!given.empty()) return parse_signal(given);
  return options.stop_signal.empty() ? SIGTERM : parse_signal(options.stop_signal);
}

}  // namespace

void Engine::State::stop_running(const storage::ContainerRow& row, std::optional<int> seconds,
                                 std::string_view signal) {
  const ContainerOptions options = parse_options(row.options);
  const int number = stop_signal_of(options, signal);
  auto link = connect_monitor(directory_of(row.id), 0);
  if (!link) return;  // it ends by itself right now; whoever looks next sees how
  // A frozen process would not see the signal before it is thawed.
  if (row.status == storage::ContainerStatus::kPaused) ask_monitor(*link, FrameType::kUnpause);
  int patience = seconds.value_or(options.stop_timeout.value_or(kDefaultStopSeconds));
  const auto lost = is_lost(*link, row, number);
  if (!lost) return;
  if (*lost) {
    base::trace("engine", "the first process of container " + row.id + " has no handler for " +
                              signal_name(number) +
                              ", so it never sees it: it is killed without waiting for it");
    patience = 0;
  }
  add_container_event(store, row, "kill", {{"signal", std::to_string(number)}});
  ask_to_stop(*link, number);
  const auto note_stop = [&] { add_container_event(store, row, "stop"); };
  StuckWatch watch(row, directory_of(row.id).runtime(), kStopStillness);
  const int milliseconds = patience < 0 ? -1 : std::min(patience, kMostStopSeconds) * 1000;
  if (wait_and_look(*link, watch, milliseconds)) return note_stop();
  add_container_event(store, row, "kill", {{"signal", std::to_string(SIGKILL)}});
  ask_to_stop(*link, SIGKILL);
  wait_for_killed(*link, row, watch);
  note_stop();
}

void Engine::State::kill_and_wait(const storage::ContainerRow& row) {
  add_container_event(store, row, "kill", {{"signal", std::to_string(SIGKILL)}});
  auto link = connect_monitor(directory_of(row.id), 0);
  if (!link) return signal_init(row, SIGKILL);
  // By the monitor, so that it knows before the container ends; by us, should it be stuck.
  ask_to_stop(*link, SIGKILL);
  if (row.status == storage::ContainerStatus::kPaused) ask_monitor(*link, FrameType::kUnpause);
  StuckWatch watch(row, directory_of(row.id).runtime(), kKillStillness);
  wait_for_killed(*link, row, watch);
}

void Engine::stop(std::string_view name_or_id, std::optional<int> seconds,
                  std::string_view signal) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (!signal.empty()) parse_signal(signal);
  if (is_active(row.status)) state_->stop_running(row, seconds, signal);
}

void Engine::kill(std::string_view name_or_id, std::string_view signal) {
  const int number = parse_signal(signal);
  const storage::ContainerRow row = load_row(state_->store, name_or_id);
  if (!is_active(row.status) || !state_->is_alive(row.id)) {
    throw base::Error(base::ErrorKind::kConflict,
                      "Cannot kill container: " + std::string(name_or_id) + ": Container " +
                          row.id + " is not running");
  }
  if (number == SIGKILL) return state_->kill_and_wait(row);
  add_container_event(state_->store, row, "kill", {{"signal", std::to_string(number)}});
  if (number == stop_signal_of(parse_options(row.options), {})) {
    if (auto link = connect_monitor(state_->directory_of(row.id), 0)) {
      return ask_to_stop(*link, number);
    }
  }
  signal_init(row, number);
}

int Engine::wait(std::string_view name_or_id) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (!is_active(row.status)) return row.exit_code;
  if (auto link = connect_monitor(state_->directory_of(row.id), 0)) {
    if (const auto code = wait_for_exit_code(*link)) return *code;
  }
  // The monitor was killed, or ended before it saw us: the row knows.
  return state_->load_current_row(row.id).exit_code;
}

void Engine::pause(std::string_view name_or_id) {
  const storage::ContainerRow row = state_->load_running_row(name_or_id);
  if (row.status == storage::ContainerStatus::kPaused) {
    throw base::Error(base::ErrorKind::kConflict, "Container " + row.id + " is already paused");
  }
  if (row.status == storage::ContainerStatus::kRestarting) {
    throw base::Error(
        base::ErrorKind::kConflict,
        "Container " + row.id + " is restarting, wait until the container is running");
  }
  if (auto link = connect_monitor(state_->directory_of(row.id), 0)) {
    ask_monitor(*link, FrameType::kPause);
  }
}

void Engine::unpause(std::string_view name_or_id) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (row.status != storage::ContainerStatus::kPaused) {
    throw base::Error(base::ErrorKind::kConflict, "Container " + row.id + " is not paused");
  }
  if (auto link = connect_monitor(state_->directory_of(row.id), 0)) {
    ask_monitor(*link, FrameType::kUnpause);
  }
}

void Engine::restart(std::string_view name_or_id, std::optional<int> seconds) {
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (is_active(row.status)) {
    if (row.auto_remove) {
      throw base::Error(base::ErrorKind::kConflict,
                        "container " + row.id + " would be removed when it stops (--rm)");
    }
    state_->stop_running(row, seconds, {});
  }
  start(row.id);
  add_container_event(state_->store, state_->load_current_row(row.id), "restart");
}

}  // namespace engine
