// System calls: the filter of a process that may use sockets, threads and memory, and read files.
#pragma once

namespace cli {

// Every other call, and every variant of these that could do more, fails with EPERM from here on,
// in all threads to come. Throws.
void restrict_system_calls();

}  // namespace cli
