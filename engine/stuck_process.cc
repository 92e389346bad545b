#include "engine/stuck_process.h"

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include "base/files.h"
#include "base/process.h"
#include "engine/process_status.h"
#include "runtime/container.h"

namespace engine {
namespace {

constexpr std::size_t kMostProcesses = 10'000;

std::string read_quietly(const std::string& path) {
  try {
    return base::find_file(path).value_or("");
  } catch (const std::exception&) {  // it ended meanwhile
    return {};
  }
}

std::vector<std::string> threads_of(pid_t pid) {
  std::vector<std::string> folders;
  std::error_code gone;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (fs::directory_iterator it(tasks, gone), end; !gone && it != end; it.increment(gone)) {
    folders.push_back(it->path());
  }
  return folders;
}

std::string describe_stuck(pid_t pid, const std::string& folder, std::string_view status) {
  const std::string_view name = status_field(status, "Name:");
  const std::string where = read_quietly(folder + "/wchan");
  return "process " + std::to_string(pid) + " (" + std::string(name.substr(0, name.find('\n'))) +
         ") is in an uninterruptible sleep" +
         (where.empty() || where == "0" ? "" : " (" + where + ")");
}

// A thread that sleeps and has not been switched out since (its two counters) has not run since.
void look_at_thread(pid_t pid, const std::string& folder, ProcessLook& look) {
  const std::string status = read_quietly(folder + "/status");
  const std::string_view state = status_field(status, "State:");
  if (state.empty()) return;
  look.trace += folder + " " + state.front();
  for (const char* counter : {"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"}) {
    const std::string_view count = status_field(status, counter);
    look.trace.append(" ").append(count.substr(0, count.find('\n')));
  }
  look.trace += "\n";
  look.is_running = look.is_running || state.front() == 'R';
  look.is_stopped = look.is_stopped || state.front() == 'T' || state.front() == 't';
  if (state.front() != 'D' || !look.stuck.empty()) return;
  look.stuck = describe_stuck(pid, folder, status);
  look.is_killed = has_signal(status_field(status, "SigPnd:"), SIGKILL) ||
                   has_signal(status_field(status, "ShdPnd:"), SIGKILL);
}

// Those of its cgroup, where `exec` puts its processes too, which are nobody's descendants here.
std::vector<pid_t> container_processes(const storage::ContainerRow& row,
                                       const fs::path& runtime_state) {
  std::vector<pid_t> pids;
  try {
    pids = runtime::list_processes(runtime_state);
  } catch (const std::exception&) {  // it has just ended
  }
  if (row.init.pid > 0) pids.push_back(row.init.pid);
  return pids;
}

}  // namespace

ProcessLook look_at_processes(std::vector<pid_t> pids, Descendants descendants) {
  ProcessLook look;
  std::sort(pids.begin(), pids.end(), std::greater<>());  // the lowest is the first
  std::set<pid_t> seen;
  while (!pids.empty() && seen.size() < kMostProcesses) {
    const pid_t pid = pids.back();
    pids.pop_back();
    if (!seen.insert(pid).second) continue;
    for (const std::string& folder : threads_of(pid)) {
      look_at_thread(pid, folder, look);
      if (descendants == Descendants::kNo) continue;
      std::istringstream children(read_quietly(folder + "/children"));
      for (pid_t child = 0; children >> child;) pids.push_back(child);
    }
  }
  return look;
}

void Stillness::note(const ProcessLook& look, base::Nanoseconds now) {
  if (look.is_running || look.trace != trace_) {
    trace_ = look.trace;
    since_ = now;
  }
  last_ = now;
}

base::Nanoseconds Stillness::length_since(base::Nanoseconds moment) const {
  return last_ - std::max(since_, moment);
}

void StuckWatch::look() {
  seen_ = look_at_processes(container_processes(row_, runtime_state_), Descendants::kYes);
  killed_looks_ = seen_.is_killed ? killed_looks_ + 1 : 0;
  stillness_.note(seen_, base::now());
  if (row_.monitor.pid <= 0) return;
  monitor_ = look_at_processes({row_.monitor.pid}, Descendants::kNo);
  monitor_stillness_.note(monitor_, base::now());
}

void StuckWatch::note_kill() { killed_ = base::now(); }

// A sleep may be one that only SIGKILL ends. Then that wakes it as it arrives: whoever sleeps on
// while it waits for them, and is no different a moment later, is deaf to it. A thread that is
// on its way out has it no more, and gets all the time there is.
bool StuckWatch::is_past_help() const {
  if (killed_ == 0 || seen_.stuck.empty() || stillness_.length() < patience_) return false;
  return killed_looks_ > 1 || stillness_.length_since(killed_) >= patience_;
}

std::string StuckWatch::reason() const {
  if (is_past_help()) return seen_.stuck;
  if (killed_ != 0 && monitor_.is_stopped &&
      monitor_stillness_.length_since(killed_) >= patience_) {
    return "its monitor, process " + std::to_string(row_.monitor.pid) + ", does not answer";
  }
  return {};
}

std::string StuckWatch::explain() const {
  if (const std::string why = reason(); !why.empty()) return why;
  if (!seen_.stuck.empty()) return seen_.stuck;
  const auto init = base::open_process(row_.init);
  if (init && !base::has_exited(init->get())) return {};
  return "its monitor, process " + std::to_string(row_.monitor.pid) + ", does not answer";
}

}  // namespace engine
