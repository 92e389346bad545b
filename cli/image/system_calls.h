// System calls: the filter of a process that unpacks what strangers wrote.
#pragma once

namespace cli {

// From here on, in all threads to come, no other program, no process, no socket but pairs, no
// mount, no namespace, nothing that changes the machine: these fail with EPERM. Throws.
void restrict_system_calls();

}  // namespace cli
