// Stop signals: whether a container's first process can hear one at all.
#pragma once

#include <string_view>
#include <sys/types.h>

#include "base/time.h"

namespace engine {

// How long a program is given to come to its handlers before it is taken to have none.
inline constexpr base::Nanoseconds kSettleTime = 1'000'000'000;

// From the text of /proc/PID/status. The first process of a PID namespace is not ended by a signal
// that it does not handle (pid_namespaces(7)): such a one is lost, unless it is blocked, since then
// somebody may wait for it (signalfd(2), sigwait(3)).
bool loses_signal(std::string_view status, int signal);

// The same for a live process and all its threads; false where nothing can be told.
bool loses_signal(pid_t pid, int signal);

}  // namespace engine
