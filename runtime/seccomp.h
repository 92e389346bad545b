// SeccompProgram: a seccomp profile of the runtime spec compiled to the kernel's filter
// instructions by a compiler of our own, and kept in a cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"

namespace runtime {

// struct sock_filter of <linux/filter.h>, same layout.
struct BpfInstruction {
  std::uint16_t code = 0;
  std::uint8_t jump_true = 0, jump_false = 0;
  std::uint32_t value = 0;
  friend bool operator==(const BpfInstruction&, const BpfInstruction&) = default;
};
static_assert(sizeof(BpfInstruction) == 8);

struct SeccompProgram {
  std::vector<BpfInstruction> instructions;
  std::uint32_t flags = 0;  // SECCOMP_FILTER_FLAG_* for seccomp(2)
  // Some action is SCMP_ACT_NOTIFY: seccomp(2) returns a descriptor that goes to the socket
  // listener_path with listener_metadata (`flags` holds SECCOMP_FILTER_FLAG_NEW_LISTENER).
  bool has_listener = false;
  std::string listener_path, listener_metadata;
  friend bool operator==(const SeccompProgram&, const SeccompProgram&) = default;
};

// Verdicts are libseccomp's for the same rules, except that a call newer than any that the profile
// names answers ENOSYS where the default is an errno (as runc's does), so that libc falls back to
// older calls. Throws kInvalid for unknown actions, operators, architectures and flags; names that
// an architecture does not have are skipped.
SeccompProgram compile_seccomp(const oci::Seccomp& profile);

// The same, compiled once: kept under `cache_dir` (made 0700) in a file named by the profile's
// content, which is checked on every load. A damaged, foreign or unwritable cache only costs time.
SeccompProgram load_or_compile_seccomp(const oci::Seccomp& profile,
                                       const std::filesystem::path& cache_dir);

// What seccomp(2) of the running kernel takes, for `features`.
std::vector<std::string> known_seccomp_actions();
std::vector<std::string> known_seccomp_architectures();
std::vector<std::string> known_seccomp_operators();
std::vector<std::string> known_seccomp_flags();

std::string render(const SeccompProgram& program);  // one instruction a line

}  // namespace runtime
