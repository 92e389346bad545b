#include <algorithm>
#include <cstdlib>
#include <linux/mount.h>

#include "base/error.h"
#include "runtime/mount_options.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

// Files of /proc that something may be mounted over: what lxcfs serves. Anything else there would
// let a container's author choose what the host's tools read about it (CVE-2019-16884).
constexpr const char* kProcExceptions[] = {"/proc/cpuinfo",
                                           "/proc/diskstats",
                                           "/proc/meminfo",
                                           "/proc/stat",
                                           "/proc/swaps",
                                           "/proc/uptime",
                                           "/proc/loadavg",
                                           "/proc/slabinfo",
                                           "/proc/net/dev",
                                           "/proc/sys/kernel/ns_last_pid",
                                           "/proc/sys/crypto/fips_enabled"};

bool is_below(const std::string& path, const std::string& folder) {
  return path.size() > folder.size() + 1 && path.compare(0, folder.size(), folder) == 0 &&
         path[folder.size()] == '/';
}

std::string clean_destination(const std::string& destination) {
  if (destination.empty() || destination.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kInvalid, "mount destination \"" + destination + "\"");
  }
  std::string clean = (fs::path("/") / destination).lexically_normal();
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  if (clean == "/") throw Error(ErrorKind::kInvalid, "mount destination is /");
  return clean;
}

void check_proc(const oci::Mount& mount, const std::string& target) {
  const bool allowed = std::any_of(std::begin(kProcExceptions), std::end(kProcExceptions),
                                   [&](const char* each) { return target == each; });
  if (is_below(target, "/proc") && !allowed) {
    throw Error(ErrorKind::kInvalid, "mount on " + target + ": inside /proc");
  }
  if (target == "/proc" && mount.type != "proc" && mount.source != "/proc") {
    throw Error(ErrorKind::kInvalid, "mount on /proc: only a proc file system may be there");
  }
}

// Image-made links must not carry these elsewhere: the engine and the kernel trust what is there.
std::uint64_t target_flags(const std::string& target, const std::string& type) {
  const bool strict = target == "/dev" || target == "/proc" || target == "/sys" || type == "proc" ||
                      type == "sysfs";
  return strict ? std::uint64_t{kNoSymlinks} : 0;
}

class MountPlanner {
 public:
  MountPlanner(const oci::RuntimeSpec& spec, const CreateOptions& options,
               const CgroupPlan& cgroups, const HostFacts& host, Plan& plan)
      : spec_(spec), options_(options), cgroups_(cgroups), host_(host), plan_(plan) {}

  // Those that take part in what the host mounts later must be opened while the host's mounts are
  // still shared with ours.
  void plan_shared() {
    for (const oci::Mount& mount : spec_.mounts) {
      const MountOptions mount_options = parse_mount_options(mount.options);
      if (!is_shared(mount, mount_options) || is_id_mapped(mount, mount_options)) continue;
      if (mount_options.by_parent) continue;
      if (slots_ == kSharedSlots) {
        throw Error(ErrorKind::kUnsupported,
                    "more than " + std::to_string(kSharedSlots) + " shared mounts");
      }
      Step step{.kind = StepKind::kOpenShared};
      step.source = source_of(mount);
      if (mount_options.recursive_bind) step.flags |= kRecursive;
      step.number = static_cast<std::uint64_t>(slots_++);
      plan_.steps.push_back(std::move(step));
    }
    slots_ = 0;
  }

  void plan_all() {
    for (const oci::Mount& mount : spec_.mounts) {
      const MountOptions mount_options = parse_mount_options(mount.options);
      const std::string target = clean_destination(mount.destination);
      check_proc(mount, target);
      if (mount_options.remount) {
        plan_remount(mount_options, target);
      } else if (is_bind(mount, mount_options)) {
        plan_bind(mount, mount_options, target);
      } else if (is_id_mapped(mount, mount_options)) {
        throw Error(ErrorKind::kUnsupported,
                    "mount on " + target + ": only a bind can have its ids mapped");
      } else if (mount.type == "sysfs" && !may_mount_sysfs()) {
        plan_host_sysfs(mount_options, target);
      } else if (mount.type == "cgroup" || mount.type == "cgroup2") {
        plan_cgroup(mount, mount_options, target);
      } else {
        plan_file_system(mount, mount_options, target);
      }
    }
  }

  // Read-only once everything below has its place.
  void plan_late() {
    for (Step& step : late_) plan_.steps.push_back(std::move(step));
    late_.clear();
  }

 private:
  static bool is_bind(const oci::Mount& mount, const MountOptions& mount_options) {
    return mount_options.bind || mount.type == "bind" || mount.type == "rbind";
  }

  static bool is_shared(const oci::Mount& mount, const MountOptions& mount_options) {
    return is_bind(mount, mount_options) && (mount_options.propagation == MS_SHARED ||
                                             mount_options.recursive_propagation == MS_SHARED);
  }

  static bool is_id_mapped(const oci::Mount& mount, const MountOptions& mount_options) {
    return mount_options.id_mapped || !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
  }

  // Mappings of its own, or else those of the container; see config.md, Linux mount options.
  IdMap id_map_of(const oci::Mount& mount, const MountOptions& from) const {
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
      throw Error(ErrorKind::kInvalid,
                  "mount on " + mount.destination + ": uidMappings and gidMappings come together");
    }
    IdMap map{.uids = mount.uid_mappings, .gids = mount.gid_mappings};
    map.recursive = from.recursive_id_mapped;
    if (map.empty()) map = container_id_map(spec_, map.recursive);
    if (map.empty()) {
      throw Error(ErrorKind::kInvalid,
                  "mount on " + mount.destination +
                      ": idmap without uidMappings, and the container has no user namespace");
    }
    return map;
  }

  std::string source_of(const oci::Mount& mount) const {
    if (mount.source.empty()) {
      throw Error(ErrorKind::kInvalid, "mount on " + mount.destination + ": no source");
    }
    return options_.bundle / mount.source;
  }

  static Step attributes(StepKind kind, const std::string& target, const MountOptions& from) {
    Step step{.kind = kind};
    step.target = target;
    step.attr_set = from.set;
    step.attr_clear = from.clear;
    step.recursive_set = from.recursive_set;
    step.recursive_clear = from.recursive_clear;
    step.propagation = from.propagation;
    step.recursive_propagation = from.recursive_propagation;
    return step;
  }

  void plan_bind(const oci::Mount& mount, const MountOptions& from, const std::string& target) {
    Step step = attributes(StepKind::kBind, target, from);
    step.flags |= target_flags(target, "");
    if (from.recursive_bind || mount.type == "rbind") step.flags |= kRecursive;
    if (is_id_mapped(mount, from)) step.id_map = id_map_of(mount, from);
    step.subpath = from.subpath;
    step.mount_namespace = from.mount_namespace;
    step.by_parent = from.by_parent;
    if (is_shared(mount, from) && step.id_map.empty() && !step.is_outside()) {
      step.number = static_cast<std::uint64_t>(slots_++);
      step.note = "shared " + mount.source;
    } else {
      step.source = source_of(mount);
      // Not what the host has: mounts of the container stay in it unless it was asked for.
      if ((from.propagation | from.recursive_propagation) == 0) {
        step.recursive_propagation = MS_PRIVATE;
      }
    }
    plan_.steps.push_back(std::move(step));
  }

  void plan_file_system(const oci::Mount& mount, const MountOptions& from,
                        const std::string& target) {
    if (mount.type.empty()) {
      throw Error(ErrorKind::kInvalid, "mount on " + target + ": no type");
    }
    Step step = attributes(StepKind::kMount, target, from);
    step.type = mount.type;
    step.source = mount.source.empty() ? mount.type : mount.source;
    step.flags |= target_flags(target, mount.type);
    step.attr_set = (from.set & ~from.recursive_clear) | from.recursive_set;
    step.recursive_set = step.recursive_clear = 0;  // there is nothing below a new one
    if (from.copy_up) {
      if (mount.type != "tmpfs") {
        throw Error(ErrorKind::kInvalid, "mount on " + target + ": tmpcopyup is for a tmpfs");
      }
      step.flags |= kCopyUp;
    }
    add_words(from, step);
    add_label(mount.type, step);
    if (from.by_parent) {  // to the child it is a mount that is there already
      step.kind = StepKind::kBind;
      step.by_parent = true;
    }
    if (mount.type == "tmpfs" && (step.attr_set & MOUNT_ATTR_RDONLY) != 0) {
      step.attr_set &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
      make_read_only_later(target);
    }
    plan_.steps.push_back(std::move(step));
  }

  // A sysfs belongs to a network namespace, and mounting it is a right over that.
  bool may_mount_sysfs() const {
    return !has_namespace(spec_, oci::NamespaceType::kUser) ||
           has_namespace(spec_, oci::NamespaceType::kNetwork);
  }

  void plan_host_sysfs(const MountOptions& from, const std::string& target) {
    plan_.decisions.push_back(target +
                              " is the host's: the user namespace has no right to mount one");
    Step step = attributes(StepKind::kBind, target, from);
    step.flags |= kNoSymlinks | kRecursive;
    step.source = "/sys";
    step.recursive_propagation = MS_PRIVATE;
    plan_.steps.push_back(std::move(step));
  }

  // The group of terminals; without it devpts gives them that of whoever opens them.
  bool is_unmapped_group(const std::string& key, const std::string& value) const {
    const auto& mappings = spec_.linux_.gid_mappings;
    if (key != "gid" || mappings.empty() || !has_new_namespace(spec_, oci::NamespaceType::kUser)) {
      return false;
    }
    return std::none_of(mappings.begin(), mappings.end(), [&](const oci::IdMapping& each) {
      const std::uint64_t group = std::strtoull(value.c_str(), nullptr, 10);
      return group >= each.container_id && group - each.container_id < each.size;
    });
  }

  void add_words(const MountOptions& from, Step& step) const {
    for (const auto& [key, value] : from.data) {
      if (step.type == "devpts" && is_unmapped_group(key, value)) {
        plan_.decisions.push_back(step.target + ": no group " + value + " in the user namespace");
        continue;
      }
      step.words.push_back(key);
      step.words.push_back(value);
    }
  }

  // Of file systems whose files get no label otherwise.
  void add_label(const std::string& type, Step& step) const {
    const std::string& label = spec_.linux_.mount_label;
    if (label.empty()) return;
    for (const char* without : {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"}) {
      if (type == without) return;
    }
    step.words.insert(step.words.end(), {"context", label});
  }

  void plan_remount(const MountOptions& from, const std::string& target) {
    if (!from.data.empty() && !from.bind) {
      Step step{.kind = StepKind::kRemount};
      step.target = target;
      add_words(from, step);
      plan_.steps.push_back(std::move(step));
    }
    plan_.steps.push_back(attributes(StepKind::kSetAttributes, target, from));
  }

  void make_read_only_later(const std::string& target) {
    Step step{.kind = StepKind::kSetAttributes};
    step.target = target;
    step.attr_set = MOUNT_ATTR_RDONLY;
    late_.push_back(std::move(step));
  }

  void plan_cgroup(const oci::Mount& mount, const MountOptions& from, const std::string& target) {
    const bool both =
        host_.cgroup_layout == CgroupLayout::kHybrid || host_.cgroup_layout == CgroupLayout::kV1;
    if (both && mount.type == "cgroup2") return plan_file_system(mount, from, target);
    switch (host_.cgroup_layout) {
      case CgroupLayout::kNone:
        plan_.decisions.push_back("no cgroup mount on " + target + ": this host has no cgroups");
        return;
      case CgroupLayout::kV2:
        return plan_cgroup2(from, target);
      case CgroupLayout::kV1:
      case CgroupLayout::kHybrid:
        return plan_cgroup1(from, target);
    }
  }

  void plan_cgroup2(const MountOptions& from, const std::string& target) {
    const bool bind = !has_new_namespace(spec_, oci::NamespaceType::kCgroup);
    Step step = attributes(bind ? StepKind::kBind : StepKind::kMount, target, from);
    step.type = bind ? "" : "cgroup2";
    step.source = bind ? cgroups_.clone_into : "cgroup";
    if (bind && step.source.empty()) return;
    plan_.steps.push_back(std::move(step));
  }

  // As docker shows it: one directory for each hierarchy, which holds the container's own group.
  // A bind of the group costs less than a mount of the hierarchy and looks the same from inside.
  void plan_cgroup1(const MountOptions& from, const std::string& target) {
    Step folder = attributes(StepKind::kMount, target, from);
    folder.type = "tmpfs";
    folder.source = "tmpfs";
    folder.words = {"mode", "755"};
    folder.attr_set &= ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY);
    plan_.steps.push_back(std::move(folder));
    for (const CgroupHierarchy& hierarchy : host_.cgroup_v1) {
      for (const std::string& directory : cgroups_.directories) {
        if (!is_below(directory, hierarchy.mount_point)) continue;
        const std::string name = fs::path(hierarchy.mount_point).filename();
        Step bind = attributes(StepKind::kBind, target + "/" + name, from);
        bind.source = directory;
        bind.recursive_propagation = MS_PRIVATE;
        plan_.steps.push_back(std::move(bind));
        plan_aliases(hierarchy, name, target);
      }
    }
    if ((from.set & MOUNT_ATTR_RDONLY) != 0) make_read_only_later(target);
  }

  // "cpu" and "cpuacct" beside "cpu,cpuacct".
  void plan_aliases(const CgroupHierarchy& hierarchy, const std::string& name,
                    const std::string& target) {
    for (const std::string& controller : hierarchy.controllers) {
      if (controller == name || controller.starts_with("name=")) continue;
      Step link{.kind = StepKind::kSymlink};
      link.target = target + "/" + controller;
      link.source = name;
      plan_.steps.push_back(std::move(link));
    }
  }

  const oci::RuntimeSpec& spec_;
  const CreateOptions& options_;
  const CgroupPlan& cgroups_;
  const HostFacts& host_;
  Plan& plan_;
  std::vector<Step> late_;
  int slots_ = 0;
};

void plan_hidden(const oci::RuntimeSpec& spec, Plan& plan) {
  const auto add = [&](StepKind kind, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (path.empty() || path[0] != '/') {
        throw Error(ErrorKind::kInvalid, "masked or read-only path \"" + path + "\"");
      }
      Step step{.kind = kind};
      step.target = path;
      plan.steps.push_back(std::move(step));
    }
  };
  add(StepKind::kReadonlyPath, spec.linux_.readonly_paths);
  add(StepKind::kMask, spec.linux_.masked_paths);
}

}  // namespace

IdMap container_id_map(const oci::RuntimeSpec& spec, bool recursive) {
  IdMap map;
  map.recursive = recursive;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type != oci::NamespaceType::kUser) continue;
    map.user_namespace = each.path;
    if (each.path.empty()) {
      map.uids = spec.linux_.uid_mappings;
      map.gids = spec.linux_.gid_mappings;
    }
  }
  return map;
}

namespace {

Step host_mounts_step() {
  Step step{.kind = StepKind::kPropagation};
  step.target = "/";
  step.propagation = MS_SLAVE;
  step.flags = kRecursive;
  step.note = "what is mounted here stays out of the host";
  return step;
}

void plan_terminal(const oci::Process& process, Plan& plan) {
  Step step{.kind = StepKind::kTerminal};
  step.flags = kMakeFile;  // and /dev/console
  step.uid = process.user.uid;
  if (process.console_size) {
    step.number = static_cast<std::uint64_t>(process.console_size->height) << 16U |
                  process.console_size->width;
  }
  plan.steps.push_back(std::move(step));
}

}  // namespace

void plan_mounts(const oci::RuntimeSpec& spec, const CreateOptions& options,
                 const CgroupPlan& cgroups, const HostFacts& host, Plan& plan) {
  MountPlanner planner(spec, options, cgroups, host, plan);
  planner.plan_shared();
  plan.steps.push_back(host_mounts_step());
  plan_root(spec, options, host, plan);
  planner.plan_all();
  plan_devices(spec, plan);
  if (spec.process->terminal) plan_terminal(*spec.process, plan);
  if (spec.process->cwd != "/") {
    Step cwd{.kind = StepKind::kMakeDirectory};
    cwd.target = spec.process->cwd;
    plan.steps.push_back(std::move(cwd));
  }
  plan_hidden(spec, plan);
  planner.plan_late();
  if (spec.root.readonly) {
    Step step{.kind = StepKind::kSetAttributes};
    step.target = "/";
    step.attr_set = MOUNT_ATTR_RDONLY;
    plan.steps.push_back(std::move(step));
  }
}

}  // namespace runtime
