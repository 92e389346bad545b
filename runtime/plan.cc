#include "runtime/plan.h"

#include <algorithm>
#include <cstdio>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace runtime {

Step& add(Plan& plan, StepKind kind) {
  plan.steps.push_back(Step{.kind = kind});
  return plan.steps.back();
}
namespace {

using base::Error;
using base::ErrorKind;
using oci::NamespaceType;

std::uint64_t clone_flag(NamespaceType type) {
  switch (type) {
    case NamespaceType::kMount:
      return CLONE_NEWNS;
    case NamespaceType::kPid:
      return CLONE_NEWPID;
    case NamespaceType::kNetwork:
      return CLONE_NEWNET;
    case NamespaceType::kIpc:
      return CLONE_NEWIPC;
    case NamespaceType::kUts:
      return CLONE_NEWUTS;
    case NamespaceType::kUser:
      return CLONE_NEWUSER;
    case NamespaceType::kCgroup:
      return CLONE_NEWCGROUP;
    case NamespaceType::kTime:
      return kNewTime;
  }
  return 0;
}

void add_sync(Plan& plan, SyncPoint point) {
  add(plan, StepKind::kSync).number = static_cast<std::uint64_t>(point);
}

void plan_cgroup_joins(const std::vector<std::string>& task_files, Plan& plan) {
  for (const std::string& file : task_files) {
    Step& step = add(plan, StepKind::kJoinCgroup);
    step.target = file;
  }
}

// What is new in the container, and when it can be made.
struct NewNamespaces {
  std::uint64_t flags = 0;
  std::vector<oci::Namespace> joined;
};

NewNamespaces sort_namespaces(const oci::RuntimeSpec& spec) {
  NewNamespaces result;
  std::uint64_t seen = 0;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    const std::uint64_t flag = clone_flag(each.type);
    if ((seen & flag) != 0)
      throw Error(ErrorKind::kInvalid, "linux.namespaces: one is there twice");
    seen |= flag;
    if (!each.path.empty()) {
      result.joined.push_back(each);
      continue;
    }
    // A cgroup namespace shows the group that its maker is in at that moment: made once inside.
    // Clocks are set before anybody is inside: another step makes it.
    const bool later = each.type == NamespaceType::kCgroup ||
                       (each.type == NamespaceType::kTime && !spec.linux_.time_offsets.empty());
    if (!later) result.flags |= flag;
  }
  if ((seen & CLONE_NEWNS) == 0) {
    throw Error(ErrorKind::kInvalid, "linux.namespaces: the container needs a mount namespace");
  }
  return result;
}

// Root of the host may enter the others with its own rights and gives them up last; anybody else
// gets the right to enter them in the user namespace.
void order_joins(std::vector<oci::Namespace>& joined, const HostFacts& host) {
  const bool user_first = !is_privileged(host);
  std::stable_partition(joined.begin(), joined.end(), [&](const oci::Namespace& each) {
    return (each.type == NamespaceType::kUser) == user_first;
  });
}

// New namespaces belong to the user namespace that their maker is in. One that is joined is
// entered first, so the process that has joined it gives birth to the one with the new ones.
void plan_namespaces(const oci::RuntimeSpec& spec, const HostFacts& host, NewNamespaces namespaces,
                     Plan& plan) {
  const bool joins_user =
      has_namespace(spec, NamespaceType::kUser) && !has_new_namespace(spec, NamespaceType::kUser);
  order_joins(namespaces.joined, host);
  for (const oci::Namespace& each : namespaces.joined) {
    if (each.type == NamespaceType::kPid && !joins_user) {
      plan.pid_namespace = each.path;
      continue;
    }
    Step& step = add(plan, StepKind::kSetNamespace);
    step.target = each.path;
    step.flags = clone_flag(each.type);
  }
  if (!joins_user) {
    plan.clone_flags = namespaces.flags;
    return;
  }
  plan.is_born_later = true;
  add(plan, StepKind::kNamespaceRoot);
  add(plan, StepKind::kEnterPidNamespace).flags = namespaces.flags;
}

enum class EarlyWord { kWanted, kUnwanted };  // when the namespaces are there

// Half of what the kernel does for a container is its network namespace, and cgroups take half as
// long: where nothing of the one hangs on the other they are made at the same time. A child of
// version 2 is born in its group; a user namespace has to be there before the others. What is
// planned here is taken out of `namespaces`.
void plan_early_namespaces(const oci::RuntimeSpec& spec, const CgroupPlan& cgroups, EarlyWord word,
                           NewNamespaces& namespaces, Plan& plan) {
  constexpr std::uint64_t kEarly = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
  if (cgroups.task_files.empty() || !cgroups.clone_into.empty() || cgroups.adopts ||
      has_namespace(spec, NamespaceType::kUser)) {
    return;
  }
  const std::uint64_t early = namespaces.flags & kEarly;
  if (early == 0) return;
  add(plan, StepKind::kUnshare).flags = early;
  add_sync(plan, SyncPoint::kCgroups);
  if (word == EarlyWord::kUnwanted) plan.steps.back().flags |= kUnasked;
  plan.awaits_cgroups = true;
  namespaces.flags &= ~early;
}

// Whoever reaches into a child that shares its parent's memory reaches the parent: only where
// nobody but the child is in its process namespace. The OOM killer ends everybody who has the
// memory of its victim, so no limit of the container's own. And the kernel enters user and time
// namespaces only with memory that is not shared; see setns(2).
bool may_share_memory(const oci::RuntimeSpec& spec) {
  const oci::Resources& resources = spec.linux_.resources;
  return has_new_namespace(spec, NamespaceType::kPid) &&
         !has_namespace(spec, NamespaceType::kUser) && !has_namespace(spec, NamespaceType::kTime) &&
         resources.memory.limit.value_or(-1) <= 0 && resources.unified.empty();
}

void plan_user_namespace(const oci::RuntimeSpec& spec, const HostFacts& host, Plan& plan) {
  if (!has_new_namespace(spec, NamespaceType::kUser)) {
    if (is_privileged(host) || has_namespace(spec, NamespaceType::kUser)) return;
    throw Error(ErrorKind::kInvalid,
                "linux.namespaces: a container of a user other than root needs a user namespace");
  }
  if (spec.linux_.uid_mappings.empty() || spec.linux_.gid_mappings.empty()) {
    throw Error(ErrorKind::kInvalid, "linux.uidMappings: a user namespace needs mappings");
  }
  add_sync(plan, SyncPoint::kMappings);
  add(plan, StepKind::kNamespaceRoot);
}

// Where only our own group is mapped, the kernel lets nobody inside change groups.
void check_groups(const oci::RuntimeSpec& spec, const HostFacts& host) {
  const auto& mappings = spec.linux_.gid_mappings;
  if (is_privileged(host) || !has_new_namespace(spec, NamespaceType::kUser) ||
      spec.process->user.additional_gids.empty()) {
    return;
  }
  if (mappings.size() == 1 && mappings[0].size == 1) {
    throw Error(ErrorKind::kUnsupported,
                "process.user.additionalGids: not without a range of mapped groups");
  }
}

bool has_network_sysctl(const oci::RuntimeSpec& spec) {
  return std::any_of(spec.linux_.sysctl.begin(), spec.linux_.sysctl.end(),
                     [](const auto& entry) { return entry.first.starts_with("net"); });
}

void plan_names(const oci::RuntimeSpec& spec, Plan& plan) {
  const auto add_name = [&](StepKind kind, const std::string& name, const char* field) {
    if (name.empty()) return;
    if (!has_namespace(spec, NamespaceType::kUts)) {
      throw Error(ErrorKind::kInvalid, std::string(field) + ": the UTS namespace is the host's");
    }
    add(plan, kind).source = name;
  };
  add_name(StepKind::kHostname, spec.hostname, "hostname");
  add_name(StepKind::kDomainname, spec.domainname, "domainname");
}

void plan_pivot(const CreateOptions& options, const HostFacts& host, Plan& plan) {
  Step& step = add(plan, StepKind::kPivot);
  if (options.overlay) step.flags |= kOfferRoot;
  if (!options.no_pivot) return;
  step.flags |= kMoveRoot;
  step.words = host.mount_points;
}

void check_spec(const oci::RuntimeSpec& spec, const HostFacts& host) {
  if (!spec.process) throw Error(ErrorKind::kInvalid, "process: missing");
  if (!spec.linux_.net_devices.empty() && !has_namespace(spec, NamespaceType::kNetwork)) {
    throw Error(ErrorKind::kInvalid, "linux.netDevices: the network namespace is the host's");
  }
  if ((!spec.linux_.uid_mappings.empty() || !spec.linux_.gid_mappings.empty()) &&
      !has_namespace(spec, NamespaceType::kUser)) {
    throw Error(ErrorKind::kInvalid,
                "linux.uidMappings, linux.gidMappings: there is no user namespace to map ids of");
  }
  if (!spec.linux_.mount_label.empty() && !host.has_selinux) {
    throw Error(ErrorKind::kUnsupported, "linux.mountLabel: this host has no SELinux");
  }
}

// Younger kernels give each security module a directory of its own; see proc_pid_attr(5).
std::string find_apparmor_file() {
  const auto enabled = base::find_file("/sys/module/apparmor/parameters/enabled", 16);
  if (!enabled || !enabled->starts_with('Y')) return {};
  return access("/proc/self/attr/apparmor/exec", F_OK) == 0 ? "attr/apparmor/exec" : "attr/exec";
}

// Not for the container's first process, whose parent does it.
void plan_oom_score(int score, Plan& plan) {
  Step& step = add(plan, StepKind::kProcFile);
  step.target = "/proc/self/oom_score_adj";
  step.source = std::to_string(score);
  step.flags = kTolerant;  // only CAP_SYS_RESOURCE may lower it
}

void plan_root_propagation(const oci::RuntimeSpec& spec, Plan& plan) {
  const std::string& word = spec.linux_.rootfs_propagation;
  if (word.empty()) return;
  const Propagation propagation = find_propagation(word);
  if (propagation.type == 0) {
    throw Error(ErrorKind::kInvalid, "linux.rootfsPropagation \"" + word + "\"");
  }
  Step& step = add(plan, StepKind::kPropagation);
  step.target.push_back('/');
  step.propagation = propagation.type;
  if (propagation.recursive) step.flags = kRecursive;
}

}  // namespace

bool loads_filter_first(const ExecTarget& target, const oci::Process& process,
                        const SeccompProgram* filter) {
  // Whoever listens is told the pid of the process itself.
  const bool has_listener = filter != nullptr && filter->has_listener;
  return target.filter_first && !process.no_new_privileges && !has_listener;
}

bool is_privileged(const HostFacts& host) {
  return ((host.held_capabilities >> CAP_SYS_ADMIN) & 1U) != 0;
}

bool has_namespace(const oci::RuntimeSpec& spec, NamespaceType type) {
  const auto& all = spec.linux_.namespaces;
  return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.type == type; });
}

bool has_new_namespace(const oci::RuntimeSpec& spec, NamespaceType type) {
  const auto& all = spec.linux_.namespaces;
  return std::any_of(all.begin(), all.end(),
                     [&](const auto& each) { return each.type == type && each.path.empty(); });
}

HostFacts detect_host(const CgroupHost& cgroups, const oci::RuntimeSpec& spec,
                      const oci::Process& process) {
  HostFacts facts;
  if (!process.apparmor_profile.empty()) facts.apparmor_file = find_apparmor_file();
  if (!process.selinux_label.empty() || !spec.linux_.mount_label.empty()) {
    facts.has_selinux = access("/sys/fs/selinux/status", F_OK) == 0;
  }
  utsname names = {};
  base::check(uname(&names), "uname");
  int major = 0;
  int minor = 0;
  if (std::sscanf(names.release, "%d.%d", &major, &minor) == 2) {
    facts.overlay_takes_single_layers = major > 6 || (major == 6 && minor >= 8);
  }
  const OwnStatus status = read_own_status();
  facts.held_capabilities = status.held_capabilities;
  facts.ignored_signals = status.ignored_signals;
  // Without user namespace what we hold is what there is to give.
  facts.known_capabilities =
      has_namespace(spec, NamespaceType::kUser) ? known_capabilities() : facts.held_capabilities;
  facts.may_raise_limits = ((facts.held_capabilities >> CAP_SYS_RESOURCE) & 1U) != 0;
  for (int resource = 0; resource < RLIM_NLIMITS && !facts.may_raise_limits; ++resource) {
    rlimit limit = {};
    base::check(prlimit(0, static_cast<__rlimit_resource>(resource), nullptr, &limit), "prlimit");
    facts.hard_limits.push_back(limit.rlim_max);
  }
  facts.cgroup_layout = cgroups.layout;
  facts.cgroup_v1 = cgroups.v1;
  return facts;
}

constexpr std::size_t kUsualSteps = 96;  // of which docker's defaults make 75

// The order is the point of this function; README.md gives the reasons.
Plan plan_create(const oci::RuntimeSpec& spec, const CreateOptions& options,
                 const CgroupPlan& cgroups, const SeccompProgram* filter, const HostFacts& host) {
  check_spec(spec, host);
  Plan plan;
  plan.steps.reserve(kUsualSteps);
  const ProcessContext context = {
      .filter = filter,
      .host = &host,
      .settings = &spec.linux_,
      .has_user_namespace = has_namespace(spec, NamespaceType::kUser),
      .preserve_fds = options.preserve_fds,
      .die_with_parent = options.die_with_parent,
      .keyring = options.new_keyring ? "_ses." + options.id : std::string()};
  plan.shares_memory = may_share_memory(spec);
  NewNamespaces namespaces = sort_namespaces(spec);
  const bool parent_enters = options.configure_network || !spec.linux_.net_devices.empty();
  plan_early_namespaces(spec, cgroups, parent_enters ? EarlyWord::kWanted : EarlyWord::kUnwanted,
                        namespaces, plan);
  plan_cgroup_joins(cgroups.task_files, plan);
  plan_labels(*spec.process, host, plan);
  plan.stays_dumpable = !is_privileged(host);
  plan.ignored_signals = host.ignored_signals;
  plan_namespaces(spec, host, std::move(namespaces), plan);
  plan_user_namespace(spec, host, plan);
  check_groups(spec, host);
  plan_time_namespace(spec, plan);
  if (has_new_namespace(spec, NamespaceType::kCgroup) &&
      host.cgroup_layout != CgroupLayout::kNone) {
    add(plan, StepKind::kUnshare).flags = CLONE_NEWCGROUP;
  }
  add(plan, StepKind::kSession);
  // Whoever configures the network does this, too.
  if (has_new_namespace(spec, NamespaceType::kNetwork) && !options.configure_network) {
    add(plan, StepKind::kLoopback);
  }
  plan_mounts(spec, options, cgroups, host, plan);
  const oci::Hooks& hooks = spec.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty()) {
    add_sync(plan, SyncPoint::kHooks);
  }
  plan_pivot(options, host, plan);
  plan_root_propagation(spec, plan);
  plan_names(spec, plan);
  if (options.configure_network && has_network_sysctl(spec)) add_sync(plan, SyncPoint::kNetwork);
  plan_sysctls(spec, plan);
  plan_user(*spec.process, context, plan);
  // A listener goes to its socket by the hand of our parent, which only waits until we are ready.
  const bool has_listener = filter != nullptr && filter->has_listener;
  if (has_listener) plan_filter(*spec.process, context, plan);
  add(plan, StepKind::kGate);
  if (spec.process->terminal) {
    const auto session = std::find_if(plan.steps.begin(), plan.steps.end(), [](const Step& step) {
      return step.kind == StepKind::kCloseFds;
    });
    plan.steps.insert(session, Step{.kind = StepKind::kControllingTerminal});
  }
  if (!has_listener) plan_filter(*spec.process, context, plan);
  add(plan, StepKind::kExec).target = spec.process->args.front();
  return plan;
}

Plan plan_exec(const oci::RuntimeSpec& spec, const oci::Process& process, const ExecTarget& target,
               const ExecOptions& options, const SeccompProgram* filter, const HostFacts& host) {
  Plan plan;
  plan.ignored_signals = host.ignored_signals;
  const ProcessContext context = {.filter = filter,
                                  .host = &host,
                                  .settings = &spec.linux_,
                                  .has_user_namespace = target.has_user_namespace,
                                  .preserve_fds = options.preserve_fds,
                                  .keyring = target.keyring};
  check_scheduling_survives_fork(process);
  plan_affinity(process, AffinityMoment::kBeforeCgroup, plan);
  plan_cgroup_joins(target.task_files, plan);
  plan_affinity(process, AffinityMoment::kAfterCgroup, plan);
  plan_labels(process, host, plan);
  if (process.oom_score_adj) plan_oom_score(*process.oom_score_adj, plan);
  Step& join = add(plan, StepKind::kSetNamespace);
  join.flags =
      CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (target.has_user_namespace) join.flags |= CLONE_NEWUSER;
  if (target.has_time_namespace) join.flags |= kNewTime;
  join.flags &= ~target.shared;
  if (target.has_user_namespace) add(plan, StepKind::kNamespaceRoot);
  add(plan, StepKind::kOpenRoot);
  if (process.terminal) {
    Step& terminal = add(plan, StepKind::kTerminal);
    terminal.uid = process.user.uid;
    if (process.console_size) {
      terminal.number = static_cast<std::uint64_t>(process.console_size->height) << 16U |
                        process.console_size->width;
    }
  }
  plan_user(process, context, plan);
  const bool filter_first = loads_filter_first(target, process, filter);
  if (filter_first) plan_filter(process, context, plan);
  add(plan, StepKind::kEnterPidNamespace);
  add(plan, StepKind::kSession);
  if (process.terminal) add(plan, StepKind::kControllingTerminal);
  if (!filter_first) plan_filter(process, context, plan);
  add(plan, StepKind::kExec).target = process.args.front();
  return plan;
}

}  // namespace runtime
