// Setup: what the parent does for a child beside starting it.
#pragma once

#include <filesystem>
#include <optional>

#include "oci/runtime_spec.h"
#include "runtime/launch.h"
#include "runtime/seccomp.h"

namespace runtime {

// The spec's filter as the kernel takes it; without a cache directory it is compiled each time.
std::optional<SeccompProgram> load_filter(const oci::RuntimeSpec& spec, const fs::path& cache_dir);

// Throws kInvalid unless descriptors 3 .. 2+count are open: else one that we open ourselves could
// take such a number and would be passed on. To be called before anything is opened.
void check_preserved(int count);

// uid_map and gid_map of a new user namespace; see user_namespaces(7).
void write_mappings(const oci::RuntimeSpec& spec, pid_t pid);

// Raises it freely; lowering takes CAP_SYS_RESOURCE and is left out, with a trace, without it.
void write_oom_score(pid_t pid, int score);

// The pty's master to a socket in the way that runc's --console-socket defines.
void send_console(int socket_fd, int master_fd);

}  // namespace runtime
