#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <set>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"

namespace runtime {
namespace {

constexpr int kFreezeMilliseconds = 2000;
constexpr int kKillMilliseconds = 5000;

long milliseconds_now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_microseconds(long microseconds) {
  const timespec time = {.tv_sec = 0, .tv_nsec = microseconds * 1000};
  nanosleep(&time, nullptr);
}

// The freezer of these paths: v1's own hierarchy or the v2 group.
struct Freezer {
  std::string file;  // empty: none
  bool is_v2 = false;
};

Freezer find_freezer(const std::vector<std::string>& paths) {
  if (const auto v1 = find_path_with(paths, "freezer.state")) {
    return {.file = *v1 + "/freezer.state", .is_v2 = false};
  }
  if (const auto v2 = find_path_with(paths, "cgroup.freeze")) {
    return {.file = *v2 + "/cgroup.freeze", .is_v2 = true};
  }
  return {};
}

bool write_state(const Freezer& freezer, bool frozen) {
  const std::string_view v1 = frozen ? "FROZEN" : "THAWED";
  const std::string_view v2 = frozen ? "1" : "0";
  return write_cgroup_file(freezer.file, freezer.is_v2 ? v2 : v1) == 0;
}

// The file vanishes with the group: then nothing is left that could run.
bool is_frozen_now(const Freezer& freezer) {
  if (!freezer.is_v2) return base::find_file(freezer.file).value_or("FROZEN").starts_with("FROZEN");
  const std::string events = freezer.file.substr(0, freezer.file.rfind('/')) + "/cgroup.events";
  const auto text = base::find_file(events);
  return !text || find_flat_value(*text, "frozen").value_or(0) == 1;
}

// False where some task does not stop in time. v1 may stay FREEZING when a task forks at the wrong
// moment; writing FROZEN again, and now and then thawing first, gets it out (freezer-subsystem.txt
// of the kernel's cgroup v1 documentation).
bool freeze(const Freezer& freezer) {
  const long end = milliseconds_now() + kFreezeMilliseconds;
  for (int round = 1; write_state(freezer, true); ++round) {
    if (is_frozen_now(freezer)) return true;
    if (milliseconds_now() > end) return false;
    sleep_microseconds(round < 20 ? 50 : 5000);
    if (!freezer.is_v2 && round % 50 == 0) write_state(freezer, false);
  }
  return is_frozen_now(freezer);
}

bool has_state_frozen(const Freezer& freezer) {
  if (freezer.file.empty()) return false;
  try {
    const auto text = base::find_file(freezer.file);
    // FREEZING counts: somebody asked for it.
    return text && (text->starts_with("FR") || text->starts_with("1"));
  } catch (const base::Error& error) {
    if (error.errno_value() != ENODEV) throw;  // the group went while we read
    return false;
  }
}

// Which of the paths to ask for processes: all v1 hierarchies hold the same ones.
std::vector<std::string> path_to_list(const std::vector<std::string>& paths) {
  for (const char* file :
       {"freezer.state", "cgroup.kill", "cgroup.freeze", "pids.max", "cgroup.procs"}) {
    if (auto path = find_path_with(paths, file)) return {*std::move(path)};
  }
  return {};
}

// The processes that `done` does not have yet get the signal and are added to it. The caller's own
// is passed over.
bool signal_new(const std::vector<std::string>& paths, int signal, std::set<pid_t>& done) {
  bool found = false;
  for (const pid_t pid : list_pids(paths)) {
    if (pid == getpid() || !done.insert(pid).second) continue;
    found = true;
    if (kill(pid, signal) != 0 && errno != ESRCH) {
      base::throw_errno("signal process " + std::to_string(pid));
    }
  }
  return found;
}

// On v1 a frozen process takes no signal, SIGKILL among them, and a group below that was frozen by
// itself (by an engine inside the container) stays so when the one above is thawed.
void thaw_all_below(const Freezer& freezer) {
  const std::string group = freezer.file.substr(0, freezer.file.rfind('/'));
  for_each_group(group, [](const GroupEntry& each) {
    const base::UniqueFd file(openat(each.fd, "freezer.state", O_WRONLY | O_CLOEXEC));
    if (file)
      static_cast<void>(!write(file.get(), "THAWED", 6));  // gone meanwhile: nobody is in it
  });
}

// Frozen processes can't fork, so one pass reaches all. Where something can't be frozen, passes
// repeat until one finds nobody new.
void signal_by_freezer(const std::vector<std::string>& paths, const Freezer& freezer, int signal) {
  const std::vector<pid_t> before = list_pids(paths);
  const bool holds_us = std::find(before.begin(), before.end(), getpid()) != before.end();
  const bool usable = !freezer.file.empty() && !holds_us;
  const bool was_frozen = usable && has_state_frozen(freezer);
  const base::Cleanup thaw([&] {
    if (usable && (!was_frozen || signal == SIGKILL)) write_state(freezer, false);
    if (usable && signal == SIGKILL && !freezer.is_v2) thaw_all_below(freezer);
  });
  const bool stopped = usable && freeze(freezer);
  std::set<pid_t> done;
  const long end = milliseconds_now() + kKillMilliseconds;
  while (signal_new(paths, signal, done) && !stopped && milliseconds_now() < end) {
  }
}

}  // namespace

std::vector<pid_t> list_pids(const std::vector<std::string>& paths) {
  std::set<pid_t> pids;
  for (const std::string& path : path_to_list(paths)) {
    for_each_group(path, [&](const GroupEntry& group) {
      const base::UniqueFd file(openat(group.fd, "cgroup.procs", O_RDONLY | O_CLOEXEC));
      if (!file) return;
      try {
        for (const std::string& word : split_words(base::read_fd(file.get())))
          pids.insert(std::stoi(word));
      } catch (const base::Error& error) {
        // ENODEV: removed since. EOPNOTSUPP: a threaded group, whose processes its parent lists.
        if (error.errno_value() != ENODEV && error.errno_value() != EOPNOTSUPP) throw;
      }
    });
  }
  pids.erase(0);  // of another pid namespace, not ours to name
  return {pids.begin(), pids.end()};
}

void signal_cgroups(const std::vector<std::string>& paths, int signal) {
  if (signal == SIGKILL) {
    const auto v2 = find_path_with(paths, "cgroup.kill");
    // Kernels from 5.14 on do it in one step.
    if (v2 && is_cgroup2(*v2) && write_cgroup_file(*v2 + "/cgroup.kill", "1") == 0) return;
  }
  signal_by_freezer(paths, find_freezer(paths), signal);
}

void freeze_cgroups(const std::vector<std::string>& paths) {
  const Freezer freezer = find_freezer(paths);
  if (freezer.file.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported, "no freezer for the container's cgroup");
  }
  const std::vector<pid_t> pids = list_pids(paths);
  if (std::find(pids.begin(), pids.end(), getpid()) != pids.end()) {
    throw base::Error(base::ErrorKind::kConflict,
                      "this process is in the cgroup that it should freeze");
  }
  if (freeze(freezer)) return;
  write_state(freezer, false);
  throw base::Error(base::ErrorKind::kUnavailable, "some process of the container does not stop");
}

void thaw_cgroups(const std::vector<std::string>& paths) {
  const Freezer freezer = find_freezer(paths);
  if (freezer.file.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported, "no freezer for the container's cgroup");
  }
  const int failure = write_cgroup_file(freezer.file, freezer.is_v2 ? "0" : "THAWED");
  if (failure != 0 && failure != ENOENT && failure != ENODEV)
    base::throw_errno("thaw " + freezer.file, failure);
}

bool is_frozen(const std::vector<std::string>& paths) {
  return has_state_frozen(find_freezer(paths));
}

}  // namespace runtime
