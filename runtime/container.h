// Container: creates, starts, signals and removes one container from an OCI runtime spec; the
// engine and sampan-oci both call this.
#pragma once

#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/process.h"
#include "base/unique_fd.h"
#include "oci/runtime_spec.h"

namespace runtime {

namespace fs = std::filesystem;

// The writable or read-only view of image layers, mounted by the child inside its own mount
// namespace so that nothing of it can stay behind in the host's. Where absent, root.path of the
// spec is bound as it is.
struct RootOverlay {
  std::vector<fs::path> lower;  // topmost first, at least one
  fs::path upper, work;         // both empty: read-only
  enum class Syncing { kNormal, kVolatile } syncing = Syncing::kNormal;
};

// Descriptors that become the process's 0, 1 and 2. Lent; -1: /dev/null. Ignored with a terminal.
struct Stdio {
  int in = -1, out = -1, err = -1;
};

// How this machine's cgroups are mounted.
struct HostView;
struct HostViewDeleter {
  void operator()(HostView* view) const noexcept;
};
using KnownHost = std::unique_ptr<HostView, HostViewDeleter>;
// For a caller that has time before it knows what to create; create() looks by itself otherwise.
KnownHost look_at_host();

struct CreateOptions {
  std::string id;      // [A-Za-z0-9_+.-]+, not "." or ".."
  fs::path bundle;     // absolute; relative paths of the spec start here
  fs::path state_dir;  // of this container; created 0711, removed by remove()
  Stdio stdio;
  std::optional<RootOverlay> overlay;
  std::string cgroup_parent;  // used where the spec has no cgroupsPath: "/sampan"
  // The cgroups are a transient unit of the systemd on this bus (as in DBUS_SYSTEM_BUS_ADDRESS;
  // "": the system's), named by a cgroupsPath of the form "slice:prefix:name".
  std::optional<std::string> systemd_bus;
  bool systemd_is_users = false;  // a user's own manager, whose units are below its own group
  // Whether cgroups that this user may not make or change are left out; none: where we are not
  // root.
  std::optional<bool> rootless;
  int preserve_fds = 0;  // descriptors 3 .. 2+n are passed on
  int console_socket =
      -1;  // a connected socket that gets the pty's master (sampan-oci); else Created::console
  fs::path cache_dir;            // for compiled seccomp filters; empty: compiled each time
  bool die_with_parent = false;  // SIGKILL to the first process when the caller ends
  // Called in the parent while the child waits for its network: lends a descriptor of the new
  // network namespace. May throw. Not called where the spec has no new network namespace.
  std::function<void(pid_t pid, int netns_fd)> configure_network;
  std::optional<std::string> resctrl_root;  // of linux.intelRdt; none: where it is mounted
  bool new_keyring = true;  // a session keyring "_ses.<id>"; else the caller's is inherited
  // The root is moved over the host's instead of taking its place: for a host's root that is a
  // ramfs, which pivot_root(2) refuses. The host's other mounts are detached then.
  bool no_pivot = false;
  const HostView* host = nullptr;  // of look_at_host(), moments ago
  bool exec_fifo = false;  // the gate is a fifo in state_dir that `start` of another process opens
                           // (sampan-oci create)
};

enum class Status { kCreating, kCreated, kRunning, kPaused, kStopped };

// What state_dir/state.json holds, so that any later process can act on the container.
struct State {
  std::string id;
  Status status = Status::kStopped;
  base::ProcessId init;
  fs::path bundle;
  std::string created;                    // RFC 3339
  std::vector<std::string> cgroup_paths;  // absolute directories, one per hierarchy
  std::map<std::string, std::string> annotations;
  std::string oci_version;
};

// What the first process still reads of ours until its execve. Freed by start(); whoever does not
// get that far leaves it where it is, because nobody knows how long it is read.
struct Lent;
struct LentDeleter {
  void operator()(Lent*) const noexcept {}
};

struct Created {
  base::ProcessId init;
  base::UniqueFd pidfd;
  base::UniqueFd console;  // the pty's master where the spec asks for a terminal and no
                           // console_socket was given
  // The overlay's root directory (O_PATH), for files in and out of it. It also keeps the overlay
  // mounted: without it the last process of the container waits in its exit until everything is
  // written back. Close it once the exit is reported.
  base::UniqueFd root;
  base::UniqueFd gate;  // opaque: what start() releases and hears from; none with exec_fifo
  std::vector<std::string> cgroup_paths;
  std::string program;  // args[0]
  fs::path state_dir;
  oci::Hooks hooks;  // those that start() runs
  std::unique_ptr<Lent, LentDeleter> lent;
};

// Builds everything and stops right before execve. The first process is a child of the caller. On
// failure nothing is left and an Error names the step; kCommandNotFound and kCommandNotRunnable for
// the executable. The caller must be single-threaded.
Created create(const oci::RuntimeSpec& spec, const CreateOptions& options);

// Lets the program run: returns after a successful execve; throws as create() does where it failed,
// with the process reaped and the rest left for remove().
void start(Created& created);

// create() and start() in one, which spares two changes of process: the first process does not stop
// before its execve, unless hooks or a seccomp agent come between. On failure nothing is left.
Created run(const oci::RuntimeSpec& spec, const CreateOptions& options);

// For containers of other processes, by state_dir. load_state throws kNotFound.
State load_state(const fs::path& state_dir);
void start_by_fifo(const fs::path& state_dir);
enum class KillScope { kInit, kAll };
void kill_container(const fs::path& state_dir, int signal, KillScope scope = KillScope::kInit);
void pause(const fs::path& state_dir);
void resume(const fs::path& state_dir);

// Removes cgroups and state; kConflict while the first process lives unless forced, which kills
// every process of the cgroups first. Also cleans what a killed create() left. A missing state_dir
// is no error when forced.
enum class RemoveMode { kStoppedOnly, kForced };
void remove(const fs::path& state_dir, RemoveMode mode);

struct OomState {
  bool killed = false;
};
// Whether the kernel's OOM killer ended a process of these cgroups. Works until remove().
OomState read_oom(const std::vector<std::string>& cgroup_paths);

// The container's limits changed in place: `update`.
void update(const fs::path& state_dir, const oci::Resources& resources);

// The same for linux.intelRdt; what is empty stays. Throws kConflict where the container has none.
void update_resctrl(const fs::path& state_dir, const std::string& l3_cache_schema,
                    const std::string& mem_bw_schema);

struct ExecOptions {
  Stdio stdio;
  int preserve_fds = 0;
  int console_socket = -1;
  bool ignore_paused = false;
  // Groups that exist below the container's own, by controller; "": wherever none is named.
  std::map<std::string, std::string> sub_cgroups;
  fs::path cache_dir;  // as in CreateOptions
};
struct Executed {
  base::ProcessId process;
  base::UniqueFd pidfd;
  base::UniqueFd console;
};
// Starts another process in a running container: its namespaces, cgroups, root, seccomp filter
// (`spec.linux_.seccomp`), capabilities. Child of the caller (with exactly the exit status wait4
// gives). Errors as create() and start() together.
Executed exec(const fs::path& state_dir, const oci::RuntimeSpec& spec, const oci::Process& process,
              const ExecOptions& options);

// The pids of the container's processes in the host's numbering, from its cgroup.
std::vector<pid_t> list_processes(const fs::path& state_dir);

// Executes ourselves again, once, from a read-only view of our binary, so that nothing in a
// container can write to it through /proc/<pid>/exe (CVE-2019-5736). For programs that call
// create() or exec() themselves, first thing in main. Where the kernel refuses, goes on as it is.
void protect_self(char** argv);

// The complete plan as `--explain` prints it, one step a line; does nothing.
std::string explain(const oci::RuntimeSpec& spec, const CreateOptions& options);

}  // namespace runtime
