// Stuck processes: what keeps a container from ending after SIGKILL, told apart from what only
// takes long.
#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/time.h"
#include "storage/store.h"

namespace engine {

namespace fs = std::filesystem;

// Processes at one moment, from /proc/PID/task/*/status.
struct ProcessLook {
  std::string trace;        // each thread's state, and how often it has been switched out so far
  bool is_running = false;  // one of them at least
  bool is_stopped = false;  // by a signal or a tracer
  // "process 12 (cat) is in an uninterruptible sleep (request_wait_answer)", of the first such one.
  std::string stuck;
  bool is_killed = false;  // SIGKILL waits for that one
};

enum class Descendants { kNo, kYes };
ProcessLook look_at_processes(std::vector<pid_t> pids, Descendants descendants);

// How long processes have been seen without one of them having run. Pure.
class Stillness {
 public:
  void note(const ProcessLook& look, base::Nanoseconds now);
  base::Nanoseconds length() const { return last_ - since_; }
  base::Nanoseconds length_since(base::Nanoseconds moment) const;

 private:
  std::string trace_;
  base::Nanoseconds since_ = 0, last_ = 0;
};

// Looks at a container every now and then while it is waited for. Who frees much memory runs, and
// who waits for a disk is woken now and then; a thread that has slept uninterruptibly through all
// of `patience`, while no other of the container has run either, is given up.
class StuckWatch {
 public:
  // `runtime_state`: where the runtime keeps the container's state.
  StuckWatch(storage::ContainerRow row, fs::path runtime_state, base::Nanoseconds patience)
      : row_(std::move(row)), runtime_state_(std::move(runtime_state)), patience_(patience) {}

  void look();
  void note_kill();  // SIGKILL has been sent
  // Why the container will not end, as soon as that is certain: "process 12 (cat) is …", "its
  // monitor, …"; empty before.
  std::string reason() const;
  // The same when nobody waits any longer, as far as it can be told.
  std::string explain() const;

 private:
  bool is_past_help() const;

  storage::ContainerRow row_;
  fs::path runtime_state_;
  base::Nanoseconds patience_;
  base::Nanoseconds killed_ = 0;  // 0: not yet
  ProcessLook seen_, monitor_;
  Stillness stillness_, monitor_stillness_;
  int killed_looks_ = 0;  // in a row in which SIGKILL waited for who is stuck
};

}  // namespace engine
