// Record: what state_dir holds of a container, so that a later process can act on it.
#pragma once

#include <optional>
#include <string>

#include "oci/runtime_spec.h"
#include "runtime/container.h"
#include "runtime/resctrl.h"

namespace runtime {

struct CgroupPlan;

// State and what only this room needs of it. `state.status` is kCreating until create() is done,
// then kCreated; what it is now follows from the process and from the file kStartedFile.
struct Record {
  State state;
  bool has_user_namespace = false, has_time_namespace = false;
  bool owns_cgroups = true;
  bool has_keyring = true;                // a session keyring of its own
  std::string systemd_unit, systemd_bus;  // of --systemd-cgroup
  ResctrlGroup resctrl;                   // of linux.intelRdt
  std::string program;                    // args[0]
  oci::Hooks hooks;                       // those that run after create()
};

inline constexpr char kStateFile[] = "state.json";
// There, and empty, from just before the program runs.
inline constexpr char kStartedFile[] = "started";
inline constexpr char kGateFifo[] = "exec.fifo";  // becomes kStartedFile when start claims it
inline constexpr char kReportFifo[] = "report.fifo";

// Pure but for the clock: what is known before anything is made. Without a process in the spec (a
// restore) `program` is empty.
Record first_record(const oci::RuntimeSpec& spec, const CreateOptions& options,
                    const CgroupPlan& cgroups);

// The first record of a container: throws kConflict where there is one already.
void create_record(const fs::path& state_dir, const Record& record);
void save_record(const fs::path& state_dir, const Record& record);
std::optional<Record> find_record(const fs::path& state_dir);
Record load_record(const fs::path& state_dir);  // kNotFound

// What the record says now: with the process looked up.
Status current_status(const fs::path& state_dir, const Record& record);

// "created", as the runtime specification spells them.
std::string status_name(Status status);

// What a seccomp agent gets with its listener: config-linux.md, "The Container Process State".
std::string render_process_state(const State& state, pid_t pid, const std::string& metadata);

// The state as hooks get it on stdin and `state` prints it.
std::string render_state(const State& state);

}  // namespace runtime
