// Setup: what the parent does for a child beside starting it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "oci/runtime_spec.h"
#include "runtime/launch.h"
#include "runtime/seccomp.h"
#include "runtime/state.h"

namespace runtime {

// The spec's filter as the kernel takes it; without a cache directory it is compiled each time.
std::optional<SeccompProgram> load_filter(const oci::RuntimeSpec& spec, const fs::path& cache_dir);

// The groups of a container that we make ourselves, in every hierarchy.
std::string cgroups_path_of(const oci::RuntimeSpec& spec, const CreateOptions& options);

// Throws kInvalid unless descriptors 3 .. 2+count are open: else one that we open ourselves could
// take such a number and would be passed on. To be called before anything is opened.
void check_preserved(int count);

// uid_map and gid_map of a new user namespace; see user_namespaces(7). Without root's rights: our
// own ids by ourselves, ranges by newuidmap(1) and newgidmap(1).
void write_mappings(const oci::RuntimeSpec& spec, pid_t pid);

// Raises it freely; lowering takes CAP_SYS_RESOURCE and is left out, with a trace, without it.
void write_oom_score(pid_t pid, int score);

// CLONE_NEW* of those namespaces in which that process is with us. Joining them is nothing to gain
// and, in a user namespace, not allowed.
std::uint64_t shared_namespaces(pid_t pid);

// Takes the filter's listener out of a process and gives it to the socket that the profile names,
// with the state in the form of config-linux.md, "The Container Process State".
void pass_listener(const SeccompProgram& filter, const State& state, pid_t pid, int pidfd,
                   int listener_number);

// The pty's master to a socket in the way that runc's --console-socket defines.
void send_console(int socket_fd, int master_fd);

}  // namespace runtime
