// Stuck processes: what keeps a container from ending after SIGKILL.
#pragma once

#include <string>
#include <sys/types.h>

#include "storage/store.h"

namespace engine {

// "process 12 (cat) is in an uninterruptible sleep (request_wait_answer)", of the first one found
// among `first` and its descendants; empty where none is. proc(5), /proc/pid/stat and wchan.
std::string find_stuck_process(pid_t first);

// Why the container does not end, as far as it can be told: " (process 12 …)", " (its monitor …)".
std::string explain_no_end(const storage::ContainerRow& row);

}  // namespace engine
