#include "runtime/checkpoint.h"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/checkpoint_outside.h"
#include "runtime/criu.h"
#include "runtime/hooks.h"
#include "runtime/net_devices.h"
#include "runtime/plan.h"
#include "runtime/setup.h"
#include "runtime/state.h"
#include "runtime/unit_design.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

// Where criu looks for settings of this machine, as every caller of it that follows runc does.
constexpr char kConfigFile[] = "/etc/criu/runc.conf";
constexpr char kConfigAnnotation[] = "org.criu.config";  // another one; empty: none

std::string config_file_of(const oci::RuntimeSpec& spec) {
  const auto own = spec.annotations.find(kConfigAnnotation);
  return own == spec.annotations.end() ? kConfigFile : own->second;
}

// criu stops a container's processes by its group where that can: all at once, and also those that
// are stopped already.
std::string find_freezer(const std::vector<std::string>& groups) {
  const auto freezer = std::find_if(groups.begin(), groups.end(), [](const std::string& path) {
    return fs::exists(path + "/freezer.state") || fs::exists(path + "/cgroup.freeze");
  });
  return freezer == groups.end() ? std::string() : *freezer;
}

// A mount namespace of our own for as long as this lives: where criu wants the root mounted,
// nothing stays behind.
class OwnMounts {
 public:
  OwnMounts() : before_(base::open_file("/proc/self/ns/mnt", O_RDONLY)) {
    base::check(unshare(CLONE_NEWNS), "unshare");
    base::check(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "make mounts slaves");
  }
  OwnMounts(const OwnMounts&) = delete;
  OwnMounts& operator=(const OwnMounts&) = delete;
  ~OwnMounts() { static_cast<void>(setns(before_.get(), CLONE_NEWNS) == 0); }

 private:
  UniqueFd before_;
};

// Everything that is started meanwhile is born in the container's groups.
class InsideCgroups {
 public:
  explicit InsideCgroups(const Cgroups& groups) : host_(detect_cgroups()) {
    for (const auto& fd : groups.task_fds) base::write_all(fd.get(), "0");
    for (const std::string& path : groups.paths) {
      if (is_cgroup2(path)) join(path);
    }
  }
  InsideCgroups(const InsideCgroups&) = delete;
  InsideCgroups& operator=(const InsideCgroups&) = delete;
  ~InsideCgroups() {
    for (const CgroupHierarchy& each : host_.v1) {
      write_cgroup_file(each.mount_point + each.own_path + "/tasks", "0");
    }
    if (host_.v2) join(host_.v2->mount_point + host_.v2->own_path);
  }

 private:
  static void join(const std::string& path) { write_cgroup_file(path + "/cgroup.procs", "0"); }
  CgroupHost host_;
};

// What is asked of us while criu restores: hooks of the runtime's namespaces, and the other end of
// a terminal that it made anew.
class Notices {
 public:
  Notices(const oci::RuntimeSpec& spec, const State& state) : spec_(spec), state_(state) {}
  void take(CriuNotice& notice) {
    if (notice.moment == "orphan-pts-master" && !console_) console_ = std::move(notice.fd);
    if (notice.moment == "setup-namespaces") set_up(notice.pid);
  }
  UniqueFd give_console() { return std::move(console_); }

 private:
  void set_up(pid_t pid) const {
    State state = state_;
    state.init.pid = pid;
    if (has_new_namespace(spec_, oci::NamespaceType::kNetwork)) {
      set_up_loopback(pid);
      move_net_devices(spec_.linux_.net_devices, pid);
    }
    run_hooks(spec_.hooks.prestart, "prestart", state);
    run_hooks(spec_.hooks.create_runtime, "createRuntime", state);
  }

  const oci::RuntimeSpec& spec_;
  const State& state_;
  UniqueFd console_;
};

// Namespaces by path: two kinds criu is handed, and gives back what it has opened; others it joins.
std::vector<UniqueFd> join_namespaces(const oci::RuntimeSpec& spec, CriuRequest& request) {
  using enum oci::NamespaceType;
  std::vector<UniqueFd> kept;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.path.empty()) continue;
    if (each.type == kNetwork || each.type == kPid) {
      kept.push_back(base::open_file(each.path, O_RDONLY));
      request.inherited.emplace_back(each.type == kPid ? kOutsideProcesses : kOutsideNetwork,
                                     kept.back().get());
    } else if (each.type == kUts || each.type == kIpc || each.type == kTime) {
      request.joined.emplace_back(each.type == kUts   ? "uts"
                                  : each.type == kIpc ? "ipc"
                                                      : "time",
                                  each.path);
    } else {
      throw Error(ErrorKind::kUnsupported, "linux.namespaces: restore into a namespace by path, " +
                                               each.path + ": criu joins none of that type");
    }
  }
  return kept;
}

// Those that we are in, by controller.
std::vector<std::pair<std::string, std::string>> own_groups() {
  std::vector<std::pair<std::string, std::string>> groups;
  std::istringstream lines(base::read_file("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,cpuacct:/a"; see cgroups(7)
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream controllers(line.substr(first + 1, second - first - 1) + ",");
    for (std::string each; std::getline(controllers, each, ',');) {
      groups.emplace_back(each, line.substr(second + 1));
    }
  }
  return groups;
}

// criu and all that it brings back, inside the groups. Gives the first process's id.
pid_t run_restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                  const CriuOptions& criu, const Outside& outside, const Cgroups& groups,
                  Notices& notices) {
  const OwnMounts own_mounts;
  const fs::path root = options.state_dir / "criu-root";
  const fs::path rootfs = options.bundle / spec.root.path;
  base::make_dirs(root, 0755);
  base::check(mount(rootfs.c_str(), root.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
              "bind " + rootfs.string());
  CriuRequest request = {.action = CriuAction::kRestore,
                         .pid = {},
                         .root = root,
                         .external = plan_restore_external(spec, outside, groups),
                         .inherited = {},
                         .joined = {},
                         .cgroup_roots = {},
                         .freeze_cgroup = {},
                         .config_file = config_file_of(spec),
                         .on_notice = [&](CriuNotice& notice) { notices.take(notice); }};
  const int streams[] = {options.stdio.in, options.stdio.out, options.stdio.err};
  for (std::size_t fd = 0; fd < std::min(std::size(streams), outside.descriptors.size()); ++fd) {
    const std::string& name = outside.descriptors[fd];
    if (!name.empty()) request.inherited.emplace_back(name, streams[fd]);
  }
  const std::vector<UniqueFd> kept = join_namespaces(spec, request);
  const InsideCgroups inside(groups);
  if (criu.cgroups != CriuCgroups::kIgnore) request.cgroup_roots = own_groups();
  return run_criu(criu, request);
}

}  // namespace

void checkpoint(const fs::path& state_dir, const oci::RuntimeSpec& spec, const CriuOptions& criu,
                AfterDump after) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  if (status != Status::kRunning && status != Status::kPaused) {
    throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" is " +
                                          status_name(status) +
                                          ": only a running or paused one can be checkpointed");
  }
  const pid_t pid = record.state.init.pid;
  const Outside outside = find_outside(spec, pid);
  const bool only_memory = after == AfterDump::kPreDump;
  // Before the dump: one with lazy pages ends only after a restore that wants it.
  if (!only_memory) save_manifest(criu.images, outside);
  base::Cleanup discard([&] { remove_manifest(criu.images); });
  run_criu(criu, {.action = only_memory ? CriuAction::kSinglePreDump : CriuAction::kDump,
                  .pid = pid,
                  .root = (record.state.bundle / spec.root.path).lexically_normal(),
                  .external = plan_dump_external(outside),
                  .inherited = {},
                  .joined = {},
                  .cgroup_roots = {},
                  .freeze_cgroup = find_freezer(record.state.cgroup_paths),
                  .config_file = config_file_of(spec),
                  .leave_running = after == AfterDump::kLeaveRunning,
                  .track_memory = only_memory || !criu.parent_images.empty(),
                  .on_notice = {}});
  discard.dismiss();
}

Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu) {
  const Outside outside = load_manifest(criu.images);
  const CgroupHost host = detect_cgroups();
  const auto unit = options.systemd_bus ? std::optional(design_unit(spec, options, host))
                                        : std::optional<UnitDesign>();
  const CgroupPlan plan =
      unit ? unit->cgroups
           : plan_cgroups(cgroups_path_of(spec, options), spec.linux_.resources, host);
  base::make_dirs(options.state_dir, 0711);
  Record record = first_record(spec, options, plan);
  if (unit) record.systemd_unit = unit->unit.name;
  create_record(options.state_dir, record);
  base::Cleanup discard([&] {
    try {
      remove(options.state_dir, RemoveMode::kForced);
    } catch (const Error& error) {
      base::trace("runtime", error.what());
    }
  });
  std::optional<Placeholder> placeholder;
  if (unit) start_designed_unit(*unit, options.id, spec.linux_.resources, placeholder.emplace());
  const Cgroups groups = apply_cgroups(plan);
  Notices notices(spec, record.state);
  const pid_t pid = run_restore(spec, options, criu, outside, groups, notices);
  const auto identity = base::find_process(pid);
  auto pidfd = identity ? base::open_process(*identity) : std::optional<UniqueFd>();
  if (!pidfd) throw Error(ErrorKind::kSystem, "the restored process ended at once");
  if (unit && unit->attaches) {
    attach_to_unit(unit->bus, unit->unit.name, list_pids(groups.paths));
  }
  record.state.init = *identity;
  record.state.status = Status::kCreated;
  base::write_file(options.state_dir / kStartedFile, "", 0600);
  save_record(options.state_dir, record);
  rmdir((options.state_dir / "criu-root").c_str());
  Created created;
  created.console = notices.give_console();
  if (created.console && options.console_socket >= 0) {
    send_console(options.console_socket, created.console.get());
    created.console.reset();
  }
  discard.dismiss();
  created.init = *identity;
  created.pidfd = std::move(*pidfd);
  created.cgroup_paths = groups.paths;
  created.program = record.program;
  created.state_dir = options.state_dir;
  record.state.status = Status::kRunning;
  run_late_hooks(spec.hooks.poststart, "poststart", record.state);
  return created;
}

bool can_checkpoint(const std::string& program) { return check_criu(program); }

}  // namespace runtime
