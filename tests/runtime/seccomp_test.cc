// The compiler's verdicts against libseccomp's, instruction by instruction simulated, and the
// cache.
#include "runtime/seccomp.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <map>
#include <random>
#include <seccomp.h>
#include <set>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "runtime/default_seccomp.h"
#include "runtime/defaults.h"
#include "tests/runtime/bpf_interpreter.h"
#include "tests/runtime/export_filter.h"

namespace {

namespace fs = std::filesystem;
using runtime::BpfInstruction;

std::uint32_t action_of(const std::string& name, std::optional<std::uint32_t> errno_value) {
  const std::uint32_t code = errno_value.value_or(EPERM);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(code);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(code);
  if (name == "SCMP_ACT_KILL") return SCMP_ACT_KILL;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  throw std::runtime_error(name);
}

scmp_compare comparison_of(const std::string& name) {
  static const std::map<std::string, scmp_compare> table = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
  return table.at(name);
}

// libseccomp loses memory when it merges some rules; that is not ours to report.
class IgnoredLeaks {
 public:
#if defined(__SANITIZE_ADDRESS__)
  IgnoredLeaks() { __lsan_disable(); }
  ~IgnoredLeaks() { __lsan_enable(); }
#else
  IgnoredLeaks() = default;
#endif
  IgnoredLeaks(const IgnoredLeaks&) = delete;
  IgnoredLeaks& operator=(const IgnoredLeaks&) = delete;
};

// The filter that libseccomp makes of the profile when it is used as runc uses it.
std::vector<BpfInstruction> reference(const oci::Seccomp& profile) {
  [[maybe_unused]] const IgnoredLeaks ignored;
  const std::uint32_t standard = action_of(profile.default_action, profile.default_errno_ret);
  scmp_filter_ctx context = seccomp_init(standard);
  for (const std::string& name : profile.architectures) {
    if (name == "SCMP_ARCH_X86") seccomp_arch_add(context, SCMP_ARCH_X86);
    if (name == "SCMP_ARCH_X32") seccomp_arch_add(context, SCMP_ARCH_X32);
    if (name == "SCMP_ARCH_AARCH64") seccomp_arch_add(context, SCMP_ARCH_AARCH64);
  }
  for (const oci::SyscallRule& rule : profile.syscalls) {
    const std::uint32_t action = action_of(rule.action, rule.errno_ret);
    if (action == standard) continue;
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      std::vector<scmp_arg_cmp> tests;
      for (const oci::SyscallArgument& argument : rule.args) {
        tests.push_back(
            {argument.index, comparison_of(argument.op), argument.value, argument.value_two});
      }
      std::set<unsigned> indexes;
      for (const scmp_arg_cmp& test : tests) indexes.insert(test.arg);
      if (indexes.size() == tests.size()) {
        seccomp_rule_add_array(context, action, number, static_cast<unsigned>(tests.size()),
                               tests.data());
      } else {
        for (scmp_arg_cmp& test : tests) seccomp_rule_add_array(context, action, number, 1, &test);
      }
    }
  }
  return export_filter(context);
}

struct Space {
  const char* name;
  std::uint32_t audit, token, offset;
};
constexpr Space kSpaces[] = {{"x86_64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0},
                             {"i386", AUDIT_ARCH_I386, SCMP_ARCH_X86, 0},
                             {"x32", AUDIT_ARCH_X86_64, SCMP_ARCH_X32, 0x40000000},
                             {"aarch64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0}};

// i386 has the multiplexed calls a second time under numbers of their own.
int own_number(const Space& space, const std::string& name) {
  static std::map<std::string, int> direct;
  const int number = seccomp_syscall_resolve_name_arch(space.token, name.c_str());
  if (space.token != SCMP_ARCH_X86 || number > -100 || number < -300) return number;
  if (direct.empty()) {
    for (int candidate = 330; candidate < 420; ++candidate) {
      char* const found = seccomp_syscall_resolve_num_arch(space.token, candidate);
      if (found != nullptr) direct[found] = candidate;
      free(found);
    }
  }
  return direct.contains(name) ? direct[name] : number;
}

// The largest number that the profile names: beyond it ENOSYS takes over.
std::optional<std::uint32_t> newest_number(const oci::Seccomp& profile, const Space& space) {
  std::optional<std::uint32_t> newest;
  for (const oci::SyscallRule& rule : profile.syscalls) {
    for (const std::string& name : rule.names) {
      const int number = own_number(space, name);
      if (number >= 0) newest = std::max(newest, std::optional<std::uint32_t>(number));
    }
  }
  return newest;
}

bool lists(const oci::Seccomp& profile, const Space& space) {
  static const std::map<std::uint32_t, std::string> names = {
      {SCMP_ARCH_X86, "SCMP_ARCH_X86"},
      {SCMP_ARCH_X32, "SCMP_ARCH_X32"},
      {SCMP_ARCH_AARCH64, "SCMP_ARCH_AARCH64"}};
  if (space.token == SCMP_ARCH_X86_64) return true;
  return std::find(profile.architectures.begin(), profile.architectures.end(),
                   names.at(space.token)) != profile.architectures.end();
}

// Arguments at and around every value that the profile compares with.
std::vector<std::uint64_t> interesting_values(const oci::Seccomp& profile) {
  std::set<std::uint64_t> values = {0, 1, 0xffffffff, 0x100000000, ~std::uint64_t{0}};
  for (const oci::SyscallRule& rule : profile.syscalls) {
    for (const oci::SyscallArgument& argument : rule.args) {
      for (const std::uint64_t value : {argument.value, argument.value_two}) {
        for (const std::uint64_t near :
             {value - 1, value, value + 1, value ^ 0x100000000, value << 32U}) {
          values.insert(near);
        }
      }
    }
  }
  return {values.begin(), values.end()};
}

bool holds(const oci::SyscallArgument& test, std::uint64_t argument, bool is_wide) {
  const std::uint64_t all = is_wide ? ~std::uint64_t{0} : 0xffffffff;
  const std::uint64_t left = argument & all;
  const std::uint64_t right = test.value & all;
  if (test.op == "SCMP_CMP_NE") return left != right;
  if (test.op == "SCMP_CMP_LT") return left < right;
  if (test.op == "SCMP_CMP_LE") return left <= right;
  if (test.op == "SCMP_CMP_EQ") return left == right;
  if (test.op == "SCMP_CMP_GE") return left >= right;
  if (test.op == "SCMP_CMP_GT") return left > right;
  return (left & right) == (test.value_two & right);
}

bool holds(const oci::SyscallRule& rule, const seccomp_data& data, bool is_wide) {
  std::set<std::uint32_t> indexes;
  std::size_t held = 0;
  for (const oci::SyscallArgument& test : rule.args) {
    indexes.insert(test.index);
    held += holds(test, data.args[test.index], is_wide) ? 1 : 0;
  }
  // Two tests of one argument are alternatives.
  return indexes.size() == rule.args.size() ? held == rule.args.size() : held > 0;
}

// What the specification says, for calls that are not multiplexed: a second judge, because
// libseccomp 2.5 forgets to load the syscall's number in some programs for several architectures.
std::uint32_t specified(const oci::Seccomp& profile, const Space& space, const seccomp_data& data) {
  const bool is_wide = space.token == SCMP_ARCH_X86_64 || space.token == SCMP_ARCH_AARCH64;
  const std::uint32_t standard = action_of(profile.default_action, profile.default_errno_ret);
  std::optional<std::uint32_t> verdict;
  for (const oci::SyscallRule& rule : profile.syscalls) {
    const std::uint32_t action = action_of(rule.action, rule.errno_ret);
    for (const std::string& name : rule.names) {
      const int number = own_number(space, name);
      if (number < 0 || number != data.nr || action == standard) continue;
      if (rule.args.empty()) return action;
      if (!verdict && holds(rule, data, is_wide)) verdict = action;
    }
  }
  return verdict.value_or(standard);
}

bool has_arguments(const oci::Seccomp& profile) {
  return std::any_of(profile.syscalls.begin(), profile.syscalls.end(),
                     [](const oci::SyscallRule& rule) { return !rule.args.empty(); });
}

struct Tally {
  int compared = 0, only_specified = 0;
};

void expect_same_verdicts(const oci::Seccomp& profile, std::mt19937_64& random, int samples,
                          Tally& tally) {
  const auto ours = runtime::compile_seccomp(profile).instructions;
  const auto theirs = reference(profile);
  const std::uint32_t standard = action_of(profile.default_action, profile.default_errno_ret);
  const bool permissive = standard == SCMP_ACT_ALLOW || standard == SCMP_ACT_LOG ||
                          (standard & 0xffff0000U) == SECCOMP_RET_TRACE;
  const auto values = interesting_values(profile);
  for (const Space& space : kSpaces) {
    const auto newest = newest_number(profile, space);
    const bool listed = lists(profile, space);
    // x32 shares its audit number with x86_64: unlisted, all of it is beyond what x86_64 names.
    const bool is_beyond = !listed && space.token == SCMP_ARCH_X32;
    for (std::uint32_t number = 0; number <= 600; ++number) {
      for (int sample = 0; sample < samples; ++sample) {
        seccomp_data data = {};
        data.arch = space.audit;
        data.nr = static_cast<int>(space.offset + number);
        for (auto& argument : data.args) argument = values[random() % values.size()];
        // i386 hands over 32-bit registers.
        if (space.token == SCMP_ARCH_X86) {
          for (auto& argument : data.args) argument &= 0xffffffff;
        }
        std::uint32_t expected = run_filter(theirs, data);
        const bool is_newer = newest && space.offset + number > *newest;
        if (!permissive && (is_beyond || (listed && is_newer))) {
          expected = SECCOMP_RET_ERRNO | ENOSYS;
        }
        if (space.token == SCMP_ARCH_X86 && (number == 102 || number == 117) &&
            has_arguments(profile)) {
          continue;  // MultiplexedCallsAreCaughtByBothDoors: stricter here than libseccomp
        }
        ++tally.compared;
        const std::uint32_t verdict = run_filter(ours, data);
        if (verdict != expected && listed && specified(profile, space, data) == verdict) {
          ++tally.only_specified;
          continue;
        }
        ASSERT_EQ(verdict, expected)
            << space.name << " " << number << " arguments " << std::hex << data.args[0] << " "
            << data.args[1] << " " << data.args[2] << " " << data.args[3] << " " << data.args[4]
            << " " << data.args[5];
      }
    }
  }
}

// Only names that libseccomp has, too: KnowsCallsThatLibseccompMayNot looks at the others.
oci::Seccomp without_new_names(oci::Seccomp profile) {
  for (oci::SyscallRule& rule : profile.syscalls) {
    std::erase_if(rule.names, [](const std::string& name) {
      return seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR;
    });
  }
  return profile;
}

TEST(Seccomp, DockersDefaultProfileDecidesAsLibseccomp) {
  std::mt19937_64 random(1);
  Tally tally;
  for (const std::set<std::string>& capabilities :
       {std::set<std::string>{}, std::set<std::string>{"CAP_SYS_CHROOT", "CAP_KILL"},
        std::set<std::string>{"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF"}}) {
    expect_same_verdicts(without_new_names(runtime::default_seccomp(capabilities)), random, 40,
                         tally);
  }
  EXPECT_EQ(tally.only_specified, 0);
}

oci::Seccomp random_profile(std::mt19937_64& random) {
  static const char* const kNames[] = {
      "read",         "write",   "open",   "socket", "socketcall",  "ipc",   "shmget",
      "clone",        "clone3",  "stat",   "mmap",   "mmap2",       "ioctl", "personality",
      "accept",       "bind",    "kill",   "futex",  "futex_waitv", "semop", "send",
      "no_such_call", "openat2", "execve", "getpid", "recvmmsg",    "shmat", "msgctl"};
  static const char* const kActions[] = {
      "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",
      "SCMP_ACT_LOG",   "SCMP_ACT_KILL",  "SCMP_ACT_TRACE"};
  static const char* const kOperators[] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                           "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                           "SCMP_CMP_MASKED_EQ"};
  static const std::uint64_t kValues[] = {0,
                                          1,
                                          2,
                                          40,
                                          0xffffffff,
                                          0x100000000,
                                          0x7e020000,
                                          0x1234567890,
                                          0x8000000000000000,
                                          0xffffffffffffffff};
  const auto pick = [&](const auto& table) { return table[random() % std::size(table)]; };
  oci::Seccomp profile;
  profile.default_action = pick(kActions);
  if (profile.default_action == "SCMP_ACT_ERRNO" && random() % 2 == 0)
    profile.default_errno_ret = 13;
  for (const char* name :
       {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"}) {
    if (random() % 3 != 0) profile.architectures.emplace_back(name);
  }
  // One action per call: where rules of different actions overlap, libseccomp itself depends on how
  // its tree happens to be built.
  std::map<std::string, std::string> action_of_name;
  const std::size_t rules = random() % 12;
  for (std::size_t i = 0; i < rules; ++i) {
    oci::SyscallRule rule;
    const std::string name = pick(kNames);
    rule.names = {name};
    rule.action = action_of_name.emplace(name, pick(kActions)).first->second;
    const std::size_t arguments = random() % 4;
    for (std::size_t j = 0; j < arguments; ++j) {
      rule.args.push_back({.index = static_cast<std::uint32_t>(random() % 6),
                           .value = pick(kValues),
                           .value_two = pick(kValues),
                           .op = pick(kOperators)});
    }
    profile.syscalls.push_back(rule);
  }
  return profile;
}

std::string describe(const oci::Seccomp& profile) {
  std::string text = profile.default_action + " on";
  for (const std::string& name : profile.architectures) text += " " + name;
  for (const oci::SyscallRule& rule : profile.syscalls) {
    text += "\n  " + rule.names.front() + " " + rule.action;
    for (const oci::SyscallArgument& argument : rule.args) {
      char line[128];
      std::snprintf(line, sizeof line, " [%u %s %llx %llx]", argument.index, argument.op.c_str(),
                    static_cast<unsigned long long>(argument.value),
                    static_cast<unsigned long long>(argument.value_two));
      text += line;
    }
  }
  return text;
}

TEST(Seccomp, RandomProfilesDecideAsLibseccomp) {
  Tally tally;
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937_64 random(seed);
    const oci::Seccomp profile = random_profile(random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + describe(profile));
    expect_same_verdicts(profile, random, 6, tally);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(tally.compared, 1000000);
  EXPECT_LT(tally.only_specified, tally.compared / 100);
}

std::uint32_t verdict(const oci::Seccomp& profile, int number,
                      std::vector<std::uint64_t> arguments = {},
                      std::uint32_t audit = AUDIT_ARCH_X86_64) {
  seccomp_data data = {};
  data.nr = number;
  data.arch = audit;
  std::copy(arguments.begin(), arguments.end(), data.args);
  return run_filter(runtime::compile_seccomp(profile).instructions, data);
}

oci::Seccomp profile_of(std::string default_action, std::vector<oci::SyscallRule> rules) {
  oci::Seccomp profile;
  profile.default_action = std::move(default_action);
  profile.syscalls = std::move(rules);
  return profile;
}

TEST(Seccomp, FirstOfOverlappingRulesWins) {
  const oci::Seccomp profile =
      profile_of("SCMP_ACT_ALLOW", {{{"getpid"}, "SCMP_ACT_ERRNO", 1, {{0, 5, 0, "SCMP_CMP_LT"}}},
                                    {{"getpid"}, "SCMP_ACT_ERRNO", 2, {{0, 9, 0, "SCMP_CMP_LT"}}}});
  EXPECT_EQ(verdict(profile, SYS_getpid, {4}), SECCOMP_RET_ERRNO | 1U);
  EXPECT_EQ(verdict(profile, SYS_getpid, {5}), SECCOMP_RET_ERRNO | 2U);
  EXPECT_EQ(verdict(profile, SYS_getpid, {9}), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(profile, SYS_getpid, {0x100000000}), std::uint32_t{SECCOMP_RET_ALLOW});
}

TEST(Seccomp, NewerCallsThanTheProfileKnowsAnswerEnosys) {
  const oci::Seccomp denying =
      profile_of("SCMP_ACT_ERRNO", {{{"read", "openat2"}, "SCMP_ACT_ALLOW", {}, {}}});
  EXPECT_EQ(verdict(denying, SYS_openat2), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(denying, SYS_openat2 - 1), SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  EXPECT_EQ(verdict(denying, SYS_openat2 + 1), SECCOMP_RET_ERRNO | std::uint32_t{ENOSYS});
  EXPECT_EQ(verdict(denying, -1), SECCOMP_RET_ERRNO | std::uint32_t{ENOSYS});
  const oci::Seccomp allowing =
      profile_of("SCMP_ACT_ALLOW", {{{"read"}, "SCMP_ACT_ERRNO", {}, {}}});
  EXPECT_EQ(verdict(allowing, 9999), std::uint32_t{SECCOMP_RET_ALLOW});
}

TEST(Seccomp, KnowsCallsThatLibseccompMayNot) {
  const oci::Seccomp profile = profile_of(
      "SCMP_ACT_ERRNO", {{{"mseal", "removexattrat", "uretprobe"}, "SCMP_ACT_ALLOW", {}, {}}});
  EXPECT_EQ(verdict(profile, 462), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(profile, 466), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(profile, 335), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(profile, 465), SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  EXPECT_EQ(verdict(profile, 467), SECCOMP_RET_ERRNO | std::uint32_t{ENOSYS});
}

TEST(Seccomp, OtherArchitecturesAreKilled) {
  const oci::Seccomp profile = profile_of("SCMP_ACT_ALLOW", {{{"read"}, "SCMP_ACT_ERRNO", {}, {}}});
  EXPECT_EQ(verdict(profile, 0, {}, AUDIT_ARCH_I386), std::uint32_t{SECCOMP_RET_KILL_THREAD});
  EXPECT_EQ(verdict(profile, 0x40000000), std::uint32_t{SECCOMP_RET_KILL_THREAD});  // x32
}

TEST(Seccomp, MultiplexedCallsAreCaughtByBothDoors) {
  oci::Seccomp profile =
      profile_of("SCMP_ACT_ALLOW", {{{"socket", "shmget"}, "SCMP_ACT_ERRNO", {}, {}}});
  profile.architectures = {"SCMP_ARCH_X86"};
  EXPECT_EQ(verdict(profile, 359, {}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  EXPECT_EQ(verdict(profile, 102, {1}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  EXPECT_EQ(verdict(profile, 102, {2}, AUDIT_ARCH_I386), std::uint32_t{SECCOMP_RET_ALLOW});
  EXPECT_EQ(verdict(profile, 117, {23}, AUDIT_ARCH_I386), SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  // A condition on arguments that are out of sight must not open the door.
  profile.syscalls = {{{"socket"}, "SCMP_ACT_ERRNO", {}, {{1, 3, 0, "SCMP_CMP_EQ"}}}};
  EXPECT_EQ(verdict(profile, 102, {1, 77}, AUDIT_ARCH_I386),
            SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.syscalls = {{{"socket"}, "SCMP_ACT_ALLOW", {}, {{1, 3, 0, "SCMP_CMP_EQ"}}}};
  EXPECT_EQ(verdict(profile, 102, {1, 77}, AUDIT_ARCH_I386),
            SECCOMP_RET_ERRNO | std::uint32_t{EPERM});
}

TEST(Seccomp, RefusesWhatItDoesNotKnow) {
  const oci::SyscallRule read{{"read"}, "SCMP_ACT_ALLOW", {}, {}};
  const auto expect_invalid = [](const oci::Seccomp& profile, const char* part) {
    try {
      runtime::compile_seccomp(profile);
      ADD_FAILURE() << "accepted: " << part;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_invalid(profile_of("SCMP_ACT_MAYBE", {}), "SCMP_ACT_MAYBE");
  expect_invalid(profile_of("", {}), "action");
  expect_invalid(profile_of("SCMP_ACT_ERRNO", {{{"read"}, "ALLOW", {}, {}}}), "ALLOW");
  expect_invalid(
      profile_of("SCMP_ACT_ERRNO", {{{"read"}, "SCMP_ACT_ALLOW", {}, {{0, 1, 0, "SCMP_CMP_ISH"}}}}),
      "SCMP_CMP_ISH");
  expect_invalid(
      profile_of("SCMP_ACT_ERRNO", {{{"read"}, "SCMP_ACT_ALLOW", {}, {{6, 1, 0, "SCMP_CMP_EQ"}}}}),
      "index 6");
  expect_invalid(profile_of("SCMP_ACT_ERRNO", {{{"read"}, "SCMP_ACT_ALLOW", 5, {}}}), "errnoRet");
  expect_invalid(profile_of("SCMP_ACT_NOTIFY", {}), "default");
  expect_invalid(profile_of("SCMP_ACT_ALLOW", {{{"write"}, "SCMP_ACT_NOTIFY", {}, {}}}), "write");
  expect_invalid(profile_of("SCMP_ACT_ALLOW", {{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}}),
                 "listenerPath");
  oci::Seccomp profile = profile_of("SCMP_ACT_ERRNO", {read});
  profile.architectures = {"SCMP_ARCH_Z80"};
  expect_invalid(profile, "SCMP_ARCH_Z80");
  profile.architectures.clear();
  profile.flags = {"SECCOMP_FILTER_FLAG_FUN"};
  expect_invalid(profile, "SECCOMP_FILTER_FLAG_FUN");
}

TEST(Seccomp, RefusesMoreThanTheKernelTakes) {
  oci::Seccomp profile = profile_of("SCMP_ACT_ERRNO", {});
  for (std::uint64_t value = 0; value < 1500; ++value) {
    profile.syscalls.push_back({{"ioctl"},
                                "SCMP_ACT_ALLOW",
                                {},
                                {{1, value, 0, "SCMP_CMP_GT"}, {2, value, 0, "SCMP_CMP_LE"}}});
  }
  EXPECT_THROW(runtime::compile_seccomp(profile), base::Error);
}

TEST(Seccomp, NotifySetsUpTheListener) {
  oci::Seccomp profile = profile_of("SCMP_ACT_ALLOW", {{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}});
  profile.listener_path = "/run/agent.sock";
  profile.listener_metadata = "who";
  profile.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"};
  const runtime::SeccompProgram program = runtime::compile_seccomp(profile);
  EXPECT_TRUE(program.has_listener);
  EXPECT_EQ(program.listener_path, "/run/agent.sock");
  EXPECT_EQ(program.flags,
            std::uint32_t{SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_LOG});
}

TEST(Seccomp, DefaultProgramIsSmall) {
  const auto program = runtime::compile_seccomp(runtime::default_seccomp({}));
  EXPECT_LT(program.instructions.size(), 800U);
  EXPECT_EQ(program.flags, std::uint32_t{SECCOMP_FILTER_FLAG_SPEC_ALLOW});
}

// The kernel's own checker, and the real thing in a child: an allowed call works, a denied one says
// EPERM, an unknown one ENOSYS.
TEST(Seccomp, KernelTakesTheDefaultProgram) {
  const auto program = runtime::compile_seccomp(runtime::default_seccomp({}));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sock_fprog filter = {};
    filter.len = static_cast<unsigned short>(program.instructions.size());
    filter.filter =
        reinterpret_cast<sock_filter*>(const_cast<BpfInstruction*>(program.instructions.data()));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(1);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &filter) != 0) _exit(2);
    if (getppid() <= 0) _exit(3);
    if (syscall(SYS_io_uring_setup, 1, nullptr) != -1 || errno != EPERM) _exit(4);
    if (syscall(1000) != -1 || errno != ENOSYS) _exit(5);
    if (syscall(SYS_clone3, nullptr, 0) != -1 || errno != ENOSYS) _exit(6);
    if (syscall(SYS_unshare, 0x10000000) != -1 || errno != EPERM) _exit(7);
    if (syscall(SYS_socket, 40, 1, 0) != -1 || errno != EPERM) _exit(8);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

class SeccompCache : public testing::Test {
 protected:
  void SetUp() override {
    const std::string parent =
        fs::temp_directory_path() / ("sampan-seccomp-" + base::random_hex(6));
    base::make_dirs(parent);
    root_ = parent;
    cache_ = root_ / "cache";
  }
  void TearDown() override { base::remove_tree_quietly(root_); }

  runtime::SeccompProgram load() { return runtime::load_or_compile_seccomp(profile_, cache_); }
  fs::path file() const {
    for (const auto& entry : fs::directory_iterator(cache_)) return entry.path();
    return {};
  }

  const oci::Seccomp profile_ = runtime::default_seccomp({"CAP_SYS_CHROOT"});
  const runtime::SeccompProgram expected_ = runtime::compile_seccomp(profile_);
  fs::path root_, cache_;
};

TEST_F(SeccompCache, GivesBackWhatWasCompiled) {
  EXPECT_EQ(load(), expected_);
  struct stat info = {};
  ASSERT_EQ(stat(cache_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
  const ino_t before = (stat(file().c_str(), &info), info.st_ino);
  EXPECT_EQ(load(), expected_);
  ASSERT_EQ(stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_ino, before) << "compiled again";
}

TEST_F(SeccompCache, DamageOnlyCostsTime) {
  load();
  const std::string good = base::read_file(file());
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, std::size_t{13}, good.size() / 2,
                               good.size() - 300, good.size() - 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    base::write_file(file(), bad, 0600);
    EXPECT_EQ(load(), expected_) << at;
    EXPECT_EQ(base::read_file(file()), good) << "not repaired";
  }
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{20}, good.size() - 8, good.size() - 1}) {
    base::write_file(file(), good.substr(0, size), 0600);
    EXPECT_EQ(load(), expected_) << size;
  }
}

TEST_F(SeccompCache, AnotherProfileUnderTheSameNameIsNotTaken) {
  const oci::Seccomp other = profile_of("SCMP_ACT_ALLOW", {});
  const fs::path elsewhere = root_ / "other";
  runtime::load_or_compile_seccomp(other, elsewhere);
  load();
  const fs::path mine = file();
  for (const auto& entry : fs::directory_iterator(elsewhere))
    fs::copy_file(entry.path(), mine, fs::copy_options::overwrite_existing);
  EXPECT_EQ(load(), expected_);
}

TEST_F(SeccompCache, FilesThatOthersMayWriteAreNotTrusted) {
  load();
  const fs::path mine = file();
  // A forged, well-formed entry: allows everything.
  ASSERT_EQ(chmod(cache_.c_str(), 0777), 0);
  EXPECT_EQ(load(), expected_);
  ASSERT_EQ(chmod(cache_.c_str(), 0700), 0);
  ASSERT_EQ(chmod(mine.c_str(), 0666), 0);
  EXPECT_EQ(load(), expected_);
  struct stat info = {};
  ASSERT_EQ(stat(mine.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U) << "replaced by one of our own";
  fs::remove(mine);
  fs::create_symlink("/dev/null", mine);
  EXPECT_EQ(load(), expected_);
}

TEST_F(SeccompCache, WorksWithoutAPlaceToWrite) {
  base::write_file(cache_, "a file where the folder should be");
  EXPECT_EQ(load(), expected_);
}

}  // namespace
