// Control groups: where a container's groups are, what to write into them, and how to join, watch,
// change and remove them; cgroup v1, v2 and the hybrid of both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"
#include "oci/runtime_spec.h"
#include "runtime/devices.h"

namespace runtime {

// One mounted hierarchy as this process sees it.
struct CgroupHierarchy {
  std::string mount_point;               // "/sys/fs/cgroup/memory"
  std::vector<std::string> controllers;  // v1: "memory", "name=systemd"; v2: those it can enable
  std::string own_path;                  // our own group below mount_point: "/", "/user.slice"
  friend bool operator==(const CgroupHierarchy&, const CgroupHierarchy&) = default;
};

// kHybrid: the controllers are on v1 and a v2 hierarchy without controllers is mounted beside them.
// There v1 does the work.
enum class CgroupLayout { kNone, kV1, kHybrid, kV2 };

struct CgroupHost {
  CgroupLayout layout = CgroupLayout::kNone;
  std::vector<CgroupHierarchy> v1;
  std::optional<CgroupHierarchy> v2;
  friend bool operator==(const CgroupHost&, const CgroupHost&) = default;
};

// From /proc/self/mountinfo, /proc/self/cgroup and, on v2, cgroup.controllers.
CgroupHost detect_cgroups();
// The same from texts. `v2_controllers` is the content of the v2 root's cgroup.controllers.
CgroupHost parse_cgroup_host(std::string_view mountinfo, std::string_view self_cgroup,
                             std::string_view v2_controllers);

struct CgroupWrite {
  enum class Kind {
    kPlain,
    kInheritIfEmpty,  // an empty cpuset file gets its parent's content; `value` is the parent file
    kEnableMissing,   // cgroup.subtree_control: only what is not yet enabled is written
  };
  enum class Failure {
    kFatal,
    kIgnored,         // a nicety
    kOptionalFile,    // some kernels do not have the file; any other failure is fatal
    kRetryAfterNext,  // cfs period and quota bound each other: whichever order works
    kTryNext,         // where the file is missing, the next write is its substitute; else that is
                      // skipped
  };
  std::string file;  // absolute
  std::string value;
  Kind kind = Kind::kPlain;
  Failure failure = Failure::kFatal;
  friend bool operator==(const CgroupWrite&, const CgroupWrite&) = default;
};

// Everything apply_cgroups() will do, in order.
struct CgroupPlan {
  std::vector<std::string> directories;  // the container's own, one for each hierarchy
  std::vector<CgroupWrite> writes;
  bool adopts = false;  // systemd has made directories: they may hold a process already
  std::vector<std::string> task_files;       // v1: the child writes "0" into each
  std::string clone_into;                    // v2: directory for CLONE_INTO_CGROUP
  std::optional<DeviceList> device_program;  // v2: attached to clone_into
};

// `cgroups_path` absolute: below each hierarchy's root; relative: below our own group (v2: beside
// it, since a group with processes cannot have controllers in its children). ".." is refused.
// Throws kInvalid for values that contradict each other, kUnsupported where this host has no
// controller for a limit.
CgroupPlan plan_cgroups(const std::string& cgroups_path, const oci::Resources& resources,
                        const CgroupHost& host);
// For users other than root: only groups below one that was delegated to us can be made. Without
// the others no limits can be set: kUnsupported, naming the first one. Says in `decisions` what was
// left out.
CgroupPlan keep_permitted(CgroupPlan plan, std::vector<std::string>& decisions);
std::string render(const CgroupPlan& plan);  // one step a line

// How a new process gets in. On v1 the process itself writes "0" to every descriptor before it has
// threads: moving oneself that way skips the lock that costs a grace period (11 ms). Never written
// to by anybody else.
struct CgroupJoin {
  std::vector<base::UniqueFd> task_fds;  // v1
  base::UniqueFd clone_into;             // v2: for clone3(2)
};
struct Cgroups : CgroupJoin {
  std::vector<std::string> paths;  // what State::cgroup_paths keeps
};

// Makes the groups and sets the limits; nobody is in them yet. On failure nothing of it is left.
// A directory that exists is used if no process is in it, else kConflict.
// kByPath: whoever joins opens the task files itself.
enum class TaskFiles { kOpened, kByPath };
Cgroups apply_cgroups(const CgroupPlan& plan, TaskFiles task_files = TaskFiles::kOpened);

// The same way in for a further process. On v2 a container may have made groups of its own below,
// which empties the top one for good: then the group of `init` is joined.
CgroupJoin open_cgroups(const std::vector<std::string>& paths, pid_t init = 0);

// What follows works on `paths` alone and takes groups that are already gone as empty.

// Every process, those of groups below included, each once.
std::vector<pid_t> list_pids(const std::vector<std::string>& paths);

// To every process, leaving none out that forks meanwhile: SIGKILL by cgroup.kill, else frozen
// first. Always thawed again unless it was frozen before and the signal is not SIGKILL.
void signal_cgroups(const std::vector<std::string>& paths, int signal);

// Waits until all are frozen; kUnsupported without a freezer, kUnavailable where some process does
// not stop within two seconds (the group is thawed again).
void freeze_cgroups(const std::vector<std::string>& paths);
void thaw_cgroups(const std::vector<std::string>& paths);
bool is_frozen(const std::vector<std::string>& paths);

// How many processes the kernel's OOM killer has ended here; container.h's read_oom() asks this.
std::uint64_t count_oom_kills(const std::vector<std::string>& paths);

// Changes limits in place, in the order that the kernel accepts (memory and memory+swap bound each
// other). Device rules are not changed.
void update_cgroups(const std::vector<std::string>& paths, const oci::Resources& resources);

// What a limit needs that the container has not: on v1 groups in hierarchies that it is not in yet
// (it joins only those whose limits it has, and the usual ones); on v2 controllers that are not
// enabled in its parents.
struct CgroupExtension {
  std::vector<std::string> directories;
  std::vector<CgroupWrite> writes;
};
CgroupExtension plan_extension(const std::vector<std::string>& paths,
                               const oci::Resources& resources, const CgroupHost& host);
// Makes the groups and moves every process of `paths` into them.
void apply_extension(const CgroupExtension& extension, const std::vector<std::string>& paths);

// The directory directly below a hierarchy's root that all containers of ours share by default; it
// is ours by its name.
inline constexpr char kSharedCgroup[] = "sampan";

// Innermost first; a group that is still busy is retried for up to half a second (its last process
// may be on its way out), then kConflict. The shared parent goes too once it is empty, unless kept.
enum class SharedParent { kRemoveIfEmpty, kKeep };
void remove_cgroups(const std::vector<std::string>& paths,
                    SharedParent parent = SharedParent::kRemoveIfEmpty);

}  // namespace runtime
