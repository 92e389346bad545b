#include "runtime/checkpoint.h"

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
#include "runtime/plan.h"
#include "runtime/state.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;
using Words = std::vector<std::string>;

void check_can_dump(const oci::RuntimeSpec& spec) {
  if (spec.process && spec.process->terminal) {
    throw Error(ErrorKind::kUnsupported,
                "process.terminal: a container with a terminal can't be checkpointed");
  }
}

void check_can_restore(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  check_can_dump(spec);
  const oci::Hooks& hooks = spec.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty() ||
      !hooks.start_container.empty()) {
    throw Error(ErrorKind::kUnsupported, "hooks: restore runs none that come before the start");
  }
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

// criu and all that it brings back, inside the groups. Gives the first process's id.
pid_t run_restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                  const CriuOptions& criu, const Outside& outside, const Cgroups& groups) {
  const OwnMounts own_mounts;
  const fs::path root = options.state_dir / "criu-root";
  const fs::path pid_file = options.state_dir / "criu.pid";
  const fs::path rootfs = options.bundle / spec.root.path;
  base::make_dirs(root, 0755);
  base::check(mount(rootfs.c_str(), root.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
              "bind " + rootfs.string());
  Words words = restore_words(spec, outside, groups);
  words.insert(words.end(), {"--root", root, "--pidfile", pid_file, "--restore-detached"});
  std::vector<base::DescriptorMap> descriptors = {
      {options.stdio.in, 0}, {options.stdio.out, 1}, {options.stdio.err, 2}};
  UniqueFd network;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type != oci::NamespaceType::kNetwork || each.path.empty()) continue;
    network = base::open_file(each.path, O_RDONLY);
    descriptors.push_back({network.get(), 3});
    words.insert(words.end(), {"--inherit-fd", "fd[3]:network"});
  }
  {
    const InsideCgroups inside(groups);
    run_criu(criu, words, "restore", descriptors);
  }
  const std::string text = base::read_file(pid_file);
  unlink(pid_file.c_str());
  return static_cast<pid_t>(std::stol(text));
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
  check_can_dump(spec);
  const pid_t pid = record.state.init.pid;
  const Outside outside = find_outside(spec, pid);
  Words words = dump_words(outside);
  words.insert(words.end(), {"-t", std::to_string(pid), "--root",
                             (record.state.bundle / spec.root.path).lexically_normal()});
  std::vector<base::DescriptorMap> descriptors = {{-1, 0}, {-1, 1}, {-1, 2}};
  if (criu.status_fd >= 0) {
    descriptors.push_back({criu.status_fd, 3});
    words.insert(words.end(), {"--status-fd", "3"});
  }
  if (after == AfterDump::kPreDump) {
    words.emplace_back("--track-mem");
    return run_criu(criu, words, "pre-dump", descriptors);
  }
  if (after == AfterDump::kLeaveRunning) words.emplace_back("--leave-running");
  run_criu(criu, words, "dump", descriptors);
  save_manifest(criu.images, outside);
}

Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu) {
  check_can_restore(spec, options);
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
  const pid_t pid = run_restore(spec, options, criu, outside, groups);
  const auto identity = base::find_process(pid);
  auto pidfd = identity ? base::open_process(*identity) : std::optional<UniqueFd>();
  if (!pidfd) throw Error(ErrorKind::kSystem, "the restored process ended at once");
  record.state.init = *identity;
  record.state.status = Status::kCreated;
  base::write_file(options.state_dir / kStartedFile, "", 0600);
  save_record(options.state_dir, record);
  rmdir((options.state_dir / "criu-root").c_str());
  discard.dismiss();
  Created created;
  created.init = *identity;
  created.pidfd = std::move(*pidfd);
  created.cgroup_paths = groups.paths;
  created.program = record.program;
  created.state_dir = options.state_dir;
  created.hooks = spec.hooks;
  return created;
}

}  // namespace runtime
