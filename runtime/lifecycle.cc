#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/hooks.h"
#include "runtime/state.h"
#include "runtime/systemd.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

constexpr int kKillPatience = 10'000;  // milliseconds

Error wrong_state(const Record& record, Status status, const char* wanted) {
  return {ErrorKind::kConflict,
          "container \"" + record.state.id + "\" is " + status_name(status) + ", not " + wanted};
}

// The words by which engines know that they come too late.
void require_running(const fs::path& state_dir, const Record& record) {
  const Status status = current_status(state_dir, record);
  if (status == Status::kRunning || status == Status::kCreated) return;
  if (status == Status::kPaused) throw wrong_state(record, status, "running");
  throw Error(ErrorKind::kConflict, "container not running: " + record.state.id);
}

// Every process of the container. The first one's death takes the others of a pid namespace along.
void kill_everything(const Record& record) {
  if (const auto process = base::open_process(record.state.init)) {
    base::send_signal(process->get(), SIGKILL);
    signal_cgroups(record.state.cgroup_paths, SIGKILL);
    if (!base::wait_for_exit(process->get(), kKillPatience)) {
      throw Error(ErrorKind::kUnavailable,
                  "container \"" + record.state.id + "\": its first process does not end");
    }
  } else {
    signal_cgroups(record.state.cgroup_paths, SIGKILL);
  }
}

// systemd ends the unit by itself once its last process is gone; then, and where there is no
// systemd any more, only directories are left to remove.
void stop_own_unit(const Record& record) {
  try {
    stop_unit(record.systemd_bus, record.systemd_unit);
  } catch (const Error& error) {
    base::trace("runtime", error.what());
  }
}

}  // namespace

State load_state(const fs::path& state_dir) {
  Record record = load_record(state_dir);
  record.state.status = current_status(state_dir, record);
  return std::move(record.state);
}

void kill_container(const fs::path& state_dir, int signal, KillScope scope) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  if (scope == KillScope::kAll && !record.state.cgroup_paths.empty()) {
    signal_cgroups(record.state.cgroup_paths, signal);
    return;
  }
  const auto process = base::open_process(record.state.init);
  if (status == Status::kStopped || !process || !base::send_signal(process->get(), signal)) {
    throw wrong_state(record, Status::kStopped, "running");
  }
  // A frozen process would only die once it is thawed.
  if (status == Status::kPaused && signal == SIGKILL) thaw_cgroups(record.state.cgroup_paths);
}

void pause(const fs::path& state_dir) {
  const Record record = load_record(state_dir);
  require_running(state_dir, record);
  freeze_cgroups(record.state.cgroup_paths);
}

void resume(const fs::path& state_dir) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  if (status == Status::kStopped || !is_frozen(record.state.cgroup_paths)) {
    throw Error(ErrorKind::kConflict,
                "container not paused: " + record.state.id + " is " + status_name(status));
  }
  thaw_cgroups(record.state.cgroup_paths);
}

void remove(const fs::path& state_dir, RemoveMode mode) {
  const base::TraceStep step("runtime", "remove");
  std::optional<Record> record = find_record(state_dir);
  if (!record) {
    if (mode == RemoveMode::kForced) return base::remove_tree(state_dir);
    throw Error(ErrorKind::kNotFound,
                "container \"" + state_dir.filename().string() + "\" does not exist", ENOENT);
  }
  const Status status = current_status(state_dir, *record);
  if (mode == RemoveMode::kStoppedOnly && status != Status::kStopped) {
    throw wrong_state(*record, status, "stopped");
  }
  if (status != Status::kStopped) kill_everything(*record);
  if (!record->systemd_unit.empty()) stop_own_unit(*record);
  try {
    remove_cgroups(record->state.cgroup_paths, SharedParent::kKeep);
  } catch (const Error& error) {
    // Without a pid namespace of its own a container leaves processes behind.
    base::trace("runtime", error.what());
    kill_everything(*record);
    remove_cgroups(record->state.cgroup_paths, SharedParent::kKeep);
  }
  remove_resctrl(record->resctrl);
  record->state.status = Status::kStopped;
  run_late_hooks(record->hooks.poststop, "poststop", record->state);
  base::remove_tree(state_dir);
}

OomState read_oom(const std::vector<std::string>& cgroup_paths) {
  return {.killed = count_oom_kills(cgroup_paths) > 0};
}

void update(const fs::path& state_dir, const oci::Resources& resources) {
  Record record = load_record(state_dir);
  if (current_status(state_dir, record) == Status::kStopped) {
    throw Error(ErrorKind::kConflict, "container not running: " + record.state.id);
  }
  const std::vector<std::string> paths = record.state.cgroup_paths;
  const CgroupExtension extension = plan_extension(paths, resources, detect_cgroups());
  if (!extension.directories.empty()) {
    record.state.cgroup_paths.insert(record.state.cgroup_paths.end(), extension.directories.begin(),
                                     extension.directories.end());
    save_record(state_dir, record);  // names them before they are there
  }
  if (!record.systemd_unit.empty()) {
    const bool is_v2 = paths.size() == 1 && is_cgroup2(paths.front());
    set_unit_limits(record.systemd_bus, record.systemd_unit,
                    plan_limits(resources, is_v2 ? SystemdCgroups::kV2 : SystemdCgroups::kV1));
  }
  apply_extension(extension, paths);
  update_cgroups(record.state.cgroup_paths, resources);
}

void update_resctrl(const fs::path& state_dir, const std::string& l3_cache_schema,
                    const std::string& mem_bw_schema) {
  update_resctrl(load_record(state_dir).resctrl, l3_cache_schema, mem_bw_schema);
}

std::vector<pid_t> list_processes(const fs::path& state_dir) {
  return list_pids(load_record(state_dir).state.cgroup_paths);
}

void protect_self(char** argv) {
  const UniqueFd self(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  struct statvfs info = {};
  if (!self || fstatvfs(self.get(), &info) != 0 || (info.f_flag & ST_RDONLY) != 0) return;
  const UniqueFd clone = base::open_self_read_only();
  if (fstatvfs(clone.get(), &info) != 0 || (info.f_flag & ST_RDONLY) == 0) return;
  syscall(SYS_execveat, clone.get(), "", argv, environ, AT_EMPTY_PATH);
}

}  // namespace runtime
