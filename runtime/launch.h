// Launch: makes a child out of a plan and talks with it until its program runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "runtime/plan.h"

namespace runtime {

// What steps need that only exists when the plan is carried out. All lent.
struct LaunchInputs {
  Stdio stdio;
  int preserve_fds = 0;
  const CgroupJoin* cgroups = nullptr;  // null: the child opens them itself
  int container_pidfd = -1;             // whose namespaces a kSetNamespace without a path joins
  int gate_fd = -1, start_report_fd = -1, started_fd = -1;
};

// What a child walks, as it reads it, and the stack that it walks it on.
struct ChildMemory;
struct ChildMemoryDeleter {
  void operator()(ChildMemory* memory) const noexcept;
};

// The parent's side of a child that walks its plan.
struct Launched {
  pid_t pid = 0;
  base::UniqueFd pidfd;
  base::UniqueFd control;
  // Shared with the child while somebody traces.
  struct Timings {
    std::uint64_t* values = nullptr;
    std::size_t count = 0;
    Timings() = default;
    Timings(Timings&& other) noexcept;
    Timings& operator=(Timings&&) = delete;
    ~Timings();
  } timings;
  // With Plan::shares_memory: must outlive the child's execve or its end, as the plan must.
  std::unique_ptr<ChildMemory, ChildMemoryDeleter> memory;
};

// With the plan itself, for as long as the child may be on its way; see container.h.
struct Lent {
  std::shared_ptr<const void> plan;
  std::unique_ptr<ChildMemory, ChildMemoryDeleter> memory;
  Launched::Timings timings;
};

// The caller must be single-threaded: the child gets its memory, or a copy of it, as it is.
Launched launch(const Plan& plan, const LaunchInputs& inputs);

// The child's next message; nullopt at its end of file, which after the gate means that execve
// worked.
struct Heard {
  Report report;
  base::UniqueFd fd;
};
std::optional<Heard> hear(int control_fd);
// Lets a child that waits go on; false where it is gone.
bool answer(int control_fd);

// The sentence for a failed step; `step` may hold no more than kind and target.
base::Error step_failure(const Report& report, const Step& step);

// What remains to be done once the program of a container runs.
void note_start(Created& created);

// Kills and reaps a child, whatever it was doing. Quiet: for clean-up.
void end_child(pid_t pid, int pidfd) noexcept;

// Tells the trace what each step took.
void trace_steps(const Plan& plan, const Launched& child);

}  // namespace runtime
