#include "runtime/seccomp_numbers.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "runtime/seccomp.h"

namespace runtime {
namespace {

constexpr std::array kArchitectures = {
    "SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",     "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB",
};

// Calls that are younger than Debian 12's libseccomp, or than some of its tables. From 424 on a
// call has the same number on every architecture, but for the offset of x32 and MIPS.
struct NewCall {
  const char* name;
  std::uint32_t number;
};
constexpr NewCall kNewCalls[] = {
    {"cachestat", 451},         {"fchmodat2", 452},        {"map_shadow_stack", 453},
    {"futex_wake", 454},        {"futex_wait", 455},       {"futex_requeue", 456},
    {"statmount", 457},         {"listmount", 458},        {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
    {"setxattrat", 463},        {"getxattrat", 464},       {"listxattrat", 465},
    {"removexattrat", 466},     {"open_tree_attr", 467},   {"file_getattr", 468},
    {"file_setattr", 469},
};

SeccompArchitecture architecture_of(std::uint32_t token) {
  SeccompArchitecture architecture{.token = token, .audit = token, .argument_bits = 32};
  // As libseccomp has it: x32 and n32 count as 32 bits wide although their registers are not.
  for (const std::uint32_t wide :
       {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_MIPS64, SCMP_ARCH_MIPSEL64, SCMP_ARCH_PPC64,
        SCMP_ARCH_PPC64LE, SCMP_ARCH_S390X, SCMP_ARCH_PARISC64, SCMP_ARCH_RISCV64}) {
    if (token == wide) architecture.argument_bits = 64;
  }
  if (token == SCMP_ARCH_X32) architecture.audit = SCMP_ARCH_X86_64;
  return architecture;
}

std::uint32_t offset_of(std::uint32_t token) {
  switch (token) {
    case SCMP_ARCH_X32:
      return kX32Bit;
    case SCMP_ARCH_MIPS:
    case SCMP_ARCH_MIPSEL:
      return 4000;
    case SCMP_ARCH_MIPS64:
    case SCMP_ARCH_MIPSEL64:
      return 5000;
    case SCMP_ARCH_MIPS64N32:
    case SCMP_ARCH_MIPSEL64N32:
      return 6000;
    default:
      return 0;
  }
}

std::optional<std::uint32_t> find_new_call(std::uint32_t token, const std::string& name) {
  for (const NewCall& call : kNewCalls) {
    if (name == call.name) return offset_of(token) + call.number;
  }
  if (token == SCMP_ARCH_X86_64 && name == "uretprobe") return 335;
  if (token == SCMP_ARCH_RISCV64 && name == "riscv_hwprobe") return 258;
  return std::nullopt;
}

// The call of its own beside a multiplexed one; the library tells these only by number.
std::optional<std::uint32_t> find_direct_number(std::uint32_t token, const std::string& name) {
  const std::uint32_t begin = offset_of(token) + (token == SCMP_ARCH_X86 ? 330 : 0);
  const std::uint32_t end = offset_of(token) + 420;
  for (std::uint32_t number = begin; number < end; ++number) {
    using CString = base::CHandle<char, std::free>;
    const CString found(seccomp_syscall_resolve_num_arch(token, static_cast<int>(number)));
    if (found && name == found.get()) return number;
  }
  return std::nullopt;
}

// The library's numbers below zero: -101 … -120 is a call of socketcall(2), -201 … -224 one of
// ipc(2), everything else "not on this architecture".
std::vector<SyscallNumber> find_multiplexed(std::uint32_t token, const std::string& name,
                                            int pseudo) {
  const bool is_socket = pseudo <= -101 && pseudo >= -120;
  const bool is_ipc = pseudo <= -201 && pseudo >= -224;
  if (!is_socket && !is_ipc) return {};
  const int entry = seccomp_syscall_resolve_name_arch(token, is_socket ? "socketcall" : "ipc");
  if (entry < 0) return {};
  std::vector<SyscallNumber> numbers;
  numbers.push_back({.number = static_cast<std::uint32_t>(entry),
                     .multiplexed = true,
                     .call = static_cast<std::uint32_t>(-pseudo - (is_socket ? 100 : 200))});
  if (const auto direct = find_direct_number(token, name)) numbers.push_back({.number = *direct});
  return numbers;
}

}  // namespace

std::optional<SeccompArchitecture> parse_seccomp_architecture(const std::string& name) {
  if (std::find(kArchitectures.begin(), kArchitectures.end(), name) == kArchitectures.end()) {
    throw base::Error(base::ErrorKind::kInvalid, "unknown seccomp architecture \"" + name + "\"");
  }
  std::string short_name = name.substr(sizeof "SCMP_ARCH_" - 1);
  std::transform(short_name.begin(), short_name.end(), short_name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  const std::uint32_t token = seccomp_arch_resolve_name(short_name.c_str());
  if (token == 0) return std::nullopt;
  return architecture_of(token);
}

SeccompArchitecture native_seccomp_architecture() { return architecture_of(seccomp_arch_native()); }

std::vector<SyscallNumber> find_syscall_numbers(const SeccompArchitecture& architecture,
                                                const std::string& name) {
  const int number = seccomp_syscall_resolve_name_arch(architecture.token, name.c_str());
  if (number >= 0) return {{.number = static_cast<std::uint32_t>(number)}};
  if (number == __NR_SCMP_ERROR) {
    const auto known = find_new_call(architecture.token, name);
    return known ? std::vector<SyscallNumber>{{.number = *known}} : std::vector<SyscallNumber>{};
  }
  return find_multiplexed(architecture.token, name, number);
}

std::vector<std::string> known_seccomp_architectures() {
  return {kArchitectures.begin(), kArchitectures.end()};
}

}  // namespace runtime
