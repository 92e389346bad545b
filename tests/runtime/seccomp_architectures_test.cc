// Every system call of every architecture: the compiler's verdict is libseccomp's.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <map>
#include <seccomp.h>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/files.h"
#include "runtime/seccomp.h"
#include "tests/runtime/bpf_interpreter.h"
#include "tests/runtime/export_filter.h"

namespace {

using runtime::BpfInstruction;

struct Architecture {
  const char* name;
  std::uint32_t token, audit, offset;
  bool is_big_endian;
};
constexpr Architecture kArchitectures[] = {
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, SCMP_ARCH_X86_64, 0, false},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, SCMP_ARCH_X86, 0, false},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, SCMP_ARCH_X86_64, 0x40000000, false},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, SCMP_ARCH_ARM, 0, false},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, false},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL, 4000, false},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64, 5000, false},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_MIPSEL64N32, 6000, false},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE, SCMP_ARCH_PPC64LE, 0, false},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, SCMP_ARCH_RISCV64, 0, false},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS, SCMP_ARCH_MIPS, 4000, true},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64, 5000, true},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPS64N32, 6000, true},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC, SCMP_ARCH_PPC, 0, true},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64, SCMP_ARCH_PPC64, 0, true},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390, SCMP_ARCH_S390, 0, true},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X, SCMP_ARCH_S390X, 0, true},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC, SCMP_ARCH_PARISC, 0, true},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64, SCMP_ARCH_PARISC64, 0, true},
};
constexpr std::uint32_t kLast = 700;  // above the offset; private calls of ARM lie elsewhere

std::string name_of(const Architecture& architecture, std::uint32_t number) {
  char* const found =
      seccomp_syscall_resolve_num_arch(architecture.token, static_cast<int>(number));
  const std::string name = found == nullptr ? "" : found;
  free(found);
  return name;
}

// Of all architectures together.
std::vector<std::string> all_names() {
  std::set<std::string> names;
  for (const Architecture& architecture : kArchitectures) {
    for (std::uint32_t number = 0; number <= kLast; ++number) {
      names.insert(name_of(architecture, architecture.offset + number));
    }
  }
  for (const char* name : {"breakpoint", "cacheflush", "set_tls", "usr26", "usr32"}) {
    names.insert(name);  // ARM's private ones
  }
  names.erase("");
  // A rule names a call by its number on this machine, where libseccomp has none for a few.
  const std::size_t all = names.size();
  std::erase_if(names, [](const std::string& name) {
    char* const found = seccomp_syscall_resolve_num_arch(
        seccomp_arch_native(), seccomp_syscall_resolve_name(name.c_str()));
    const bool is_lost = found == nullptr || name != found;
    free(found);
    return is_lost;
  });
  EXPECT_LT(all - names.size(), 10U);
  return {names.begin(), names.end()};
}

// libseccomp's filter for that architecture alone: it mixes no byte orders.
std::vector<BpfInstruction> reference(const Architecture& architecture,
                                      const std::vector<std::string>& allowed) {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (architecture.token != seccomp_arch_native()) {
    EXPECT_EQ(seccomp_arch_remove(context, seccomp_arch_native()), 0);
    EXPECT_EQ(seccomp_arch_add(context, architecture.token), 0) << architecture.name;
  }
  for (const std::string& name : allowed) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number != __NR_SCMP_ERROR) seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
  }
  std::vector<BpfInstruction> code = export_filter(context);
  for (BpfInstruction& one : code) {
    if (!architecture.is_big_endian) break;
    one.code = static_cast<std::uint16_t>(__builtin_bswap16(one.code));
    one.value = __builtin_bswap32(one.value);
  }
  return code;
}

// The youngest call that the profile names there; what is younger answers ENOSYS.
std::uint32_t newest_of(const Architecture& architecture, const std::vector<std::string>& names) {
  const std::set<std::string> known(names.begin(), names.end());
  std::uint32_t newest = 0;
  for (std::uint32_t number = 0; number <= kLast; ++number) {
    if (known.contains(name_of(architecture, architecture.offset + number))) newest = number;
  }
  for (std::uint32_t number = 0; architecture.token == SCMP_ARCH_ARM && number < 8; ++number) {
    // Its private calls, far above all others.
    if (known.contains(name_of(architecture, 0x0f0000 + number))) newest = 0x0f0000 + number;
  }
  return newest;
}

// socketcall(2) and ipc(2) tell by their first argument which call is meant. libseccomp's offsets
// of arguments are those of the architecture's byte order, ours of the machine's: the low half of a
// small number is where both look only in the same order.
std::uint64_t argument_of(const Architecture& architecture, std::uint64_t call) {
  return architecture.is_big_endian ? call << 32U | call : call;
}

TEST(SeccompArchitectures, EveryCallDecidesAsLibseccomp) {
  const std::vector<std::string> names = all_names();
  ASSERT_GT(names.size(), 450U);
  int compared = 0;
  for (std::size_t part = 0; part < 3; ++part) {
    oci::SyscallRule rule{.names = {}, .action = "SCMP_ACT_ALLOW"};
    for (std::size_t i = part; i < names.size(); i += part == 2 ? 7 : 2) {
      rule.names.push_back(names[i]);
    }
    for (const Architecture& architecture : kArchitectures) {
      SCOPED_TRACE(architecture.name);
      oci::Seccomp profile;
      profile.default_action = "SCMP_ACT_ERRNO";
      profile.architectures = {architecture.name};
      profile.syscalls = {rule};
      const auto ours = runtime::compile_seccomp(profile).instructions;
      const auto theirs = reference(architecture, rule.names);
      const std::uint32_t newest = newest_of(architecture, rule.names);
      for (std::uint32_t number = 0; number <= kLast; ++number) {
        const std::string name = name_of(architecture, architecture.offset + number);
        const bool is_multiplexed = name == "socketcall" || name == "ipc";
        // There both halves count, and no value has each where the other order looks for it.
        const bool is_wide =
            architecture.token == SCMP_ARCH_PPC64 || architecture.token == SCMP_ARCH_S390X ||
            architecture.token == SCMP_ARCH_MIPS64 || architecture.token == SCMP_ARCH_PARISC64;
        if (is_multiplexed && is_wide) continue;
        for (std::uint64_t call = 0; call <= (is_multiplexed ? 26 : 0); ++call) {
          seccomp_data data = {};
          data.arch = architecture.audit;
          data.nr = static_cast<int>(architecture.offset + number);
          data.args[0] = argument_of(architecture, call);
          std::uint32_t expected = run_filter(theirs, data);
          if (number > newest) expected = SECCOMP_RET_ERRNO | ENOSYS;
          ASSERT_EQ(run_filter(ours, data), expected)
              << name << " " << number << " call " << call << " part " << part;
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 39'000);
}

// What a 64-bit register's upper half holds counts on 64-bit architectures and nowhere else.
TEST(SeccompArchitectures, ArgumentsAreAsWideAsTheRegisters) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.is_big_endian) continue;
    SCOPED_TRACE(architecture.name);
    oci::Seccomp profile;
    profile.default_action = "SCMP_ACT_ERRNO";
    profile.architectures = {architecture.name};
    profile.syscalls = {{.names = {"personality"},
                         .action = "SCMP_ACT_ALLOW",
                         .args = {{.index = 0, .value = 8, .op = "SCMP_CMP_EQ"}}}};
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (architecture.token != seccomp_arch_native()) {
      seccomp_arch_add(context, architecture.token);
    }
    const scmp_arg_cmp test = {0, SCMP_CMP_EQ, 8, 0};
    ASSERT_EQ(seccomp_rule_add_array(context, SCMP_ACT_ALLOW,
                                     seccomp_syscall_resolve_name("personality"), 1, &test),
              0);
    const auto theirs = export_filter(context);
    const auto ours = runtime::compile_seccomp(profile).instructions;
    for (const std::uint64_t value :
         {std::uint64_t{8}, std::uint64_t{9}, std::uint64_t{1} << 32U | 8}) {
      seccomp_data data = {};
      data.arch = architecture.audit;
      data.nr = seccomp_syscall_resolve_name_arch(architecture.token, "personality");
      data.args[0] = value;
      EXPECT_EQ(run_filter(ours, data), run_filter(theirs, data)) << value;
    }
  }
}

}  // namespace
