// Syscall numbers: what a name means on each architecture, by libseccomp's tables and a few names
// that are newer than those.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace runtime {

struct SeccompArchitecture {
  std::uint32_t token = 0;  // libseccomp's SCMP_ARCH_…
  std::uint32_t audit = 0;  // what seccomp_data.arch holds: AUDIT_ARCH_… of <linux/audit.h>
  int argument_bits = 64;   // how much of an argument counts
  friend bool operator==(const SeccompArchitecture&, const SeccompArchitecture&) = default;
};

// "SCMP_ARCH_X86_64". nullopt for one that the specification has but this library can't resolve
// (this machine can't run its programs either). Throws kInvalid for any other name.
std::optional<SeccompArchitecture> parse_seccomp_architecture(const std::string& name);
SeccompArchitecture native_seccomp_architecture();

inline constexpr std::uint32_t kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT of <asm/unistd.h>

// One number that stands for a name. `multiplexed`: the number is socketcall(2) or ipc(2), and the
// name is meant only where argument 0 is `call`.
struct SyscallNumber {
  std::uint32_t number = 0;
  bool multiplexed = false;
  std::uint32_t call = 0;
};

// Empty where the architecture has no such call. Old 32-bit architectures have some twice: as a
// call of their own and multiplexed.
std::vector<SyscallNumber> find_syscall_numbers(const SeccompArchitecture& architecture,
                                                const std::string& name);

}  // namespace runtime
