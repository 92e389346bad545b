// Plan: everything that starting a container (or a further process in one) will do in its child,
// as a list of steps worked out from the spec alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/capabilities.h"
#include "runtime/cgroup.h"
#include "runtime/child_plan.h"
#include "runtime/container.h"
#include "runtime/mount_options.h"
#include "runtime/seccomp.h"

namespace runtime {

// How the ids of a mount's files are shown: by mappings, or by those of a user namespace.
struct IdMap {
  std::vector<oci::IdMapping> uids, gids;
  std::string user_namespace;
  bool recursive = false;
  bool empty() const { return uids.empty() && user_namespace.empty(); }
};

// One line of the plan and one Op of the child.
struct Step : StepNumbers {
  StepKind kind = StepKind::kExec;
  IdMap id_map;  // kBind, kRootOverlay: made by the parent, whose right it takes
  // Also made by the parent: a bind of what `subpath` leads to without leaving `source`, or of
  // `source` as it is in another mount namespace; a file system that belongs to the host's network.
  std::string subpath, mount_namespace;
  bool by_parent = false;
  bool is_outside() const { return by_parent || !subpath.empty() || !mount_namespace.empty(); }
  std::string source, target, type;
  std::vector<std::string> words;
  std::string data;  // bytes
  std::string note;  // what a reader is told and the child does not need
};

// What the plan depends on beside the spec; a test makes it up.
struct HostFacts {
  // From 6.8 on the layers of an overlay are given one by one; before, within 4096 bytes.
  bool overlay_takes_single_layers = true;
  std::uint64_t held_capabilities = 0;
  // All that the kernel knows: what a process has in a user namespace of its own.
  std::uint64_t known_capabilities = 0;
  std::uint64_t ignored_signals = 0;  // by us; bit n - 1 is signal n
  // Where resource limits can't be raised: the current hard limits by resource number.
  bool may_raise_limits = true;
  std::vector<std::uint64_t> hard_limits;
  CgroupLayout cgroup_layout = CgroupLayout::kNone;
  std::vector<CgroupHierarchy> cgroup_v1;
  std::vector<std::string> mount_points;  // of the host, below its root; only for no_pivot
  // Looked up only where the spec asks for them.
  std::string apparmor_file;  // of procfs, where AppArmor takes a profile; empty: none
  bool has_selinux = false;
};
HostFacts detect_host(const CgroupHost& cgroups, const oci::RuntimeSpec& spec,
                      const oci::Process& process);

struct Plan {
  std::uint64_t clone_flags = 0;  // CLONE_NEW* of clone3(2)
  bool stays_dumpable = false;    // see ChildPlan
  std::uint64_t ignored_signals = 0;
  bool is_born_later = false;   // the container's process is a child of the one we clone
  bool awaits_cgroups = false;  // it makes its namespaces while its parent makes the groups
  // The child works in its parent's memory until execve, so nothing is copied; see
  // may_share_memory.
  bool shares_memory = false;
  std::vector<std::string> joined;  // paths of namespaces that kSetNamespace steps enter
  std::string pid_namespace;        // path of one to be born into
  std::vector<Step> steps;
  std::vector<std::string> argv, envp;
  std::vector<std::string> decisions;  // where the spec was not followed to the letter, and why
};

// Throws kInvalid and kUnsupported, naming the field. `cgroups` names the groups to join;
// `filter` is null where the spec has none.
Plan plan_create(const oci::RuntimeSpec& spec, const CreateOptions& options,
                 const CgroupPlan& cgroups, const SeccompProgram* filter, const HostFacts& host);

// A further process. `has_user_namespace`: the container has one of its own.
struct ExecTarget {
  bool has_user_namespace = false, has_time_namespace = false;
  std::uint64_t shared = 0;  // CLONE_NEW* of the namespaces that are ours, too: not to be joined
  std::vector<std::string> task_files;
  std::string keyring;  // empty: none of its own
  // Whether the filter is in place before the process is born into the container's pid namespace.
  // Otherwise it keeps CAP_SYS_ADMIN there for a moment, where a container that may trace could
  // take it; but a filter that refuses clone(2) leaves no other way.
  bool filter_first = true;
};
bool loads_filter_first(const ExecTarget& target, const oci::Process& process,
                        const SeccompProgram* filter);
Plan plan_exec(const oci::RuntimeSpec& spec, const oci::Process& process, const ExecTarget& target,
               const ExecOptions& options, const SeccompProgram* filter, const HostFacts& host);

Step& add(Plan& plan, StepKind kind);  // the next one

// "mount overlay on /": what an error says and `--explain` prints.
std::string describe(const Step& step);
std::string render(const Plan& plan);  // numbered from 1, one step a line

// Parts of the plan, by file.
void plan_mounts(const oci::RuntimeSpec& spec, const CreateOptions& options,
                 const CgroupPlan& cgroups, const HostFacts& host, Plan& plan);  // plan_mounts.cc
void plan_devices(const oci::RuntimeSpec& spec, Plan& plan);                     // plan_devices.cc
void plan_root(const oci::RuntimeSpec& spec, const CreateOptions& options, const HostFacts& host,
               Plan& plan);  // plan_root.cc
// Everything from standard streams to the switch of the user; plan_process.cc.
struct ProcessContext {
  const SeccompProgram* filter = nullptr;
  const HostFacts* host = nullptr;
  const oci::Linux* settings = nullptr;
  bool has_user_namespace = false;
  int preserve_fds = 0;
  bool die_with_parent = false;
  std::string keyring;  // name of the session keyring to join; empty: the caller's stays
};
void plan_streams(const oci::Process& process, int preserve_fds, Plan& plan);
void plan_user(const oci::Process& process, const ProcessContext& context, Plan& plan);
// The filter and the last capabilities.
void plan_filter(const oci::Process& process, const ProcessContext& context, Plan& plan);
void plan_sysctls(const oci::RuntimeSpec& spec, Plan& plan);
// plan_settings.cc
void plan_labels(const oci::Process& process, const HostFacts& host, Plan& plan);
void plan_scheduling(const oci::Process& process, const oci::Linux& settings, Plan& plan);
// For `features`.
std::vector<std::string> known_memory_modes();
std::vector<std::string> known_memory_flags();
void check_scheduling_survives_fork(const oci::Process& process);
void plan_time_namespace(const oci::RuntimeSpec& spec, Plan& plan);
enum class AffinityMoment { kBeforeCgroup, kAfterCgroup };
void plan_affinity(const oci::Process& process, AffinityMoment moment, Plan& plan);
// "0-3,7" as the mask that the kernel takes. Throws kInvalid, naming the field.
std::string parse_number_mask(const std::string& text, const std::string& field);

// Those of the container's user namespace; empty where it has none.
IdMap container_id_map(const oci::RuntimeSpec& spec, bool recursive);
// Whether we act with the host's root's rights or only with those over a user namespace.
bool is_privileged(const HostFacts& host);
bool has_namespace(const oci::RuntimeSpec& spec, oci::NamespaceType type);      // new or joined
bool has_new_namespace(const oci::RuntimeSpec& spec, oci::NamespaceType type);  // new

}  // namespace runtime
