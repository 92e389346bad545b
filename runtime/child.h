// run_child: the small interpreter of a ChildPlan; system calls only.
#pragma once

#include "runtime/child_plan.h"

namespace runtime {

// Ends in execve or, after a report, in _exit.
[[noreturn]] void run_child(const ChildPlan& plan) noexcept;

}  // namespace runtime
