#include "runtime/checkpoint.h"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <sched.h>
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
#include "runtime/plan.h"
#include "runtime/setup.h"
#include "runtime/state.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

void check_can_restore(const CreateOptions& options) {
  if (options.systemd_bus) {
    throw Error(ErrorKind::kUnsupported, "restore together with --systemd-cgroup");
  }
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
  Notices(const oci::Hooks& hooks, const State& state) : hooks_(hooks), state_(state) {}
  void take(CriuNotice& notice) {
    if (notice.moment == "orphan-pts-master" && !console_) console_ = std::move(notice.fd);
    if (notice.moment == "setup-namespaces") run_early_hooks(notice.pid);
  }
  UniqueFd give_console() { return std::move(console_); }

 private:
  void run_early_hooks(pid_t pid) const {
    State state = state_;
    state.init.pid = pid;
    run_hooks(hooks_.prestart, "prestart", state);
    run_hooks(hooks_.create_runtime, "createRuntime", state);
  }

  const oci::Hooks& hooks_;
  const State& state_;
  UniqueFd console_;
};

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
                         .on_notice = [&](CriuNotice& notice) { notices.take(notice); }};
  const int streams[] = {options.stdio.in, options.stdio.out, options.stdio.err};
  for (std::size_t fd = 0; fd < std::min(std::size(streams), outside.descriptors.size()); ++fd) {
    const std::string& name = outside.descriptors[fd];
    if (!name.empty()) request.inherited.emplace_back(name, streams[fd]);
  }
  UniqueFd network;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type != oci::NamespaceType::kNetwork || each.path.empty()) continue;
    network = base::open_file(each.path, O_RDONLY);
    request.inherited.emplace_back(kOutsideNetwork, network.get());
  }
  const InsideCgroups inside(groups);
  return run_criu(criu, request);
}

}  // namespace

void checkpoint(const fs::path& state_dir, const oci::RuntimeSpec& spec, const CriuOptions& criu,
                AfterDump after) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  if (status != Status::kRunning) {
    throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" is " +
                                          status_name(status) +
                                          ": only a running one can be checkpointed");
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
                  .leave_running = after == AfterDump::kLeaveRunning,
                  .track_memory = only_memory || !criu.parent_images.empty(),
                  .on_notice = {}});
  discard.dismiss();
}

Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu) {
  check_can_restore(options);
  const Outside outside = load_manifest(criu.images);
  const std::string parent = options.cgroup_parent.empty() ? "/sampan" : options.cgroup_parent;
  const std::string path =
      spec.linux_.cgroups_path.empty() ? parent + "/" + options.id : spec.linux_.cgroups_path;
  const CgroupPlan plan = plan_cgroups(path, spec.linux_.resources, detect_cgroups());
  base::make_dirs(options.state_dir, 0711);
  Record record = first_record(spec, options, plan);
  create_record(options.state_dir, record);
  base::Cleanup discard([&] {
    try {
      remove(options.state_dir, RemoveMode::kForced);
    } catch (const Error& error) {
      base::trace("runtime", error.what());
    }
  });
  const Cgroups groups = apply_cgroups(plan);
  Notices notices(spec.hooks, record.state);
  const pid_t pid = run_restore(spec, options, criu, outside, groups, notices);
  const auto identity = base::find_process(pid);
  auto pidfd = identity ? base::open_process(*identity) : std::optional<UniqueFd>();
  if (!pidfd) throw Error(ErrorKind::kSystem, "the restored process ended at once");
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

}  // namespace runtime
