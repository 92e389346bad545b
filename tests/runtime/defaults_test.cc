// docker's defaults and its profile format.
#include "runtime/defaults.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/capabilities.h"
#include "runtime/default_seccomp.h"

namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

std::set<std::string> allowed_calls(const oci::Seccomp& profile) {
  std::set<std::string> calls;
  for (const oci::SyscallRule& rule : profile.syscalls) {
    if (rule.action == "SCMP_ACT_ALLOW" && rule.args.empty())
      calls.insert(rule.names.begin(), rule.names.end());
  }
  return calls;
}

std::set<std::string> docker_capabilities() {
  const auto& names = runtime::default_capabilities();
  return {names.begin(), names.end()};
}

TEST(Defaults, DockersFourteenCapabilities) {
  EXPECT_EQ(runtime::default_capabilities().size(), 14U);
  EXPECT_NO_THROW(runtime::parse_capabilities(runtime::default_capabilities()));
  EXPECT_THAT(runtime::default_capabilities(), Not(Contains("CAP_SYS_ADMIN")));
  EXPECT_THAT(runtime::all_capabilities(), Contains("CAP_SYS_ADMIN"));
}

TEST(Defaults, SeccompForDockersCapabilities) {
  const oci::Seccomp profile = runtime::default_seccomp(docker_capabilities());
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.default_errno_ret, 1U);
  const auto calls = allowed_calls(profile);
  for (const char* name :
       {"read", "openat2", "chroot", "ptrace", "futex_waitv", "landlock_restrict_self", "mseal"}) {
    EXPECT_TRUE(calls.contains(name)) << name;
  }
  for (const char* name :
       {"mount",       "unshare",         "setns",      "bpf",         "keyctl",
        "add_key",     "io_uring_setup",  "kexec_load", "userfaultfd", "reboot",
        "clone",       "clone3",          "socket",     "personality", "open_by_handle_at",
        "init_module", "perf_event_open", "swapon",     "syslog",      "settimeofday",
        "kcmp"}) {
    EXPECT_FALSE(calls.contains(name)) << name;
  }
}

TEST(Defaults, SeccompFollowsCapabilities) {
  const std::pair<const char*, const char*> kBrings[] = {
      {"CAP_SYS_ADMIN", "mount"},         {"CAP_SYS_ADMIN", "clone3"},
      {"CAP_SYS_PTRACE", "kcmp"},         {"CAP_SYS_TIME", "clock_settime64"},
      {"CAP_SYSLOG", "syslog"},           {"CAP_BPF", "bpf"},
      {"CAP_PERFMON", "perf_event_open"}, {"CAP_SYS_NICE", "mbind"},
      {"CAP_SYS_BOOT", "reboot"},         {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
      {"CAP_SYS_MODULE", "finit_module"}};
  for (const auto& [capability, call] : kBrings) {
    EXPECT_FALSE(allowed_calls(runtime::default_seccomp({})).contains(call)) << call;
    EXPECT_TRUE(allowed_calls(runtime::default_seccomp({capability})).contains(call)) << call;
  }
  // clone3's ENOSYS is for those who may not make namespaces.
  const auto answers_enosys = [](const oci::Seccomp& profile) {
    return std::any_of(
        profile.syscalls.begin(), profile.syscalls.end(), [](const oci::SyscallRule& rule) {
          return rule.names == std::vector<std::string>{"clone3"} && rule.errno_ret == 38U;
        });
  };
  EXPECT_TRUE(answers_enosys(runtime::default_seccomp({})));
  EXPECT_FALSE(answers_enosys(runtime::default_seccomp({"CAP_SYS_ADMIN"})));
}

// By number, as docker lists them: a new family of a new kernel stays out.
TEST(Defaults, AddressFamilies) {
  std::set<std::uint64_t> families;
  for (const oci::SyscallRule& rule : runtime::default_seccomp({}).syscalls) {
    if (rule.names != std::vector<std::string>{"socket"}) continue;
    ASSERT_EQ(rule.args.size(), 1U);
    const oci::SyscallArgument& family = rule.args.front();
    ASSERT_EQ(family.index, 0U);
    if (family.op == "SCMP_CMP_EQ") families.insert(family.value);
    if (family.op != "SCMP_CMP_LT") continue;
    for (std::uint64_t value = 0; value < family.value; ++value) families.insert(value);
  }
  std::set<std::uint64_t> expected;
  for (std::uint64_t value = 0; value <= 45; ++value) expected.insert(value);
  for (const std::uint64_t left_out : {12, 19, 20, 23, 25, 34, 37, 38, 40})
    expected.erase(left_out);
  EXPECT_EQ(families, expected);
}

TEST(Defaults, NoCallIsListedTwice) {
  std::multiset<std::string> seen;
  for (const oci::SyscallRule& rule : runtime::default_seccomp({}).syscalls) {
    if (rule.args.empty()) seen.insert(rule.names.begin(), rule.names.end());
  }
  for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1U) << name;
}

TEST(Defaults, PathsAndMounts) {
  EXPECT_THAT(runtime::default_masked_paths(), Contains("/proc/kcore"));
  EXPECT_THAT(runtime::default_masked_paths(), Contains("/proc/interrupts"));
  EXPECT_THAT(runtime::default_readonly_paths(), ElementsAre("/proc/bus", "/proc/fs", "/proc/irq",
                                                             "/proc/sys", "/proc/sysrq-trigger"));
  EXPECT_EQ(runtime::default_mounts().size(), 7U);
}

constexpr char kProfile[] = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [
    {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]},
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
  "syscalls": [
    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
    {"name": "old_style", "action": "SCMP_ACT_ALLOW"},
    {"names": ["for_admin"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
    {"names": ["for_others"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]}},
    {"names": ["elsewhere"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["sparc"]}},
    {"names": ["here"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "arm64"]}},
    {"names": ["not_here"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64", "arm64"]}},
    {"names": ["since_4"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["since_99"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
    {"names": ["masked"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
     "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}],
  "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/l", "listenerMetadata": "m"})";

TEST(SeccompProfile, ConditionsAreResolved) {
  const oci::Seccomp plain = runtime::parse_seccomp_profile(kProfile, {});
  EXPECT_THAT(allowed_calls(plain), testing::UnorderedElementsAre("read", "write", "old_style",
                                                                  "for_others", "here", "since_4"));
  const oci::Seccomp admin = runtime::parse_seccomp_profile(kProfile, {"CAP_SYS_ADMIN", "CAP_BPF"});
  EXPECT_TRUE(allowed_calls(admin).contains("for_admin"));
  EXPECT_FALSE(allowed_calls(admin).contains("for_others"));
  EXPECT_FALSE(allowed_calls(runtime::parse_seccomp_profile(kProfile, {"CAP_SYS_ADMIN"}))
                   .contains("for_admin"));
}

TEST(SeccompProfile, EverythingElseIsTakenOver) {
  const oci::Seccomp profile = runtime::parse_seccomp_profile(kProfile, {});
  EXPECT_EQ(profile.default_errno_ret, 1U);
  EXPECT_EQ(profile.architectures, runtime::default_seccomp_architectures());
  EXPECT_THAT(profile.flags, ElementsAre("SECCOMP_FILTER_FLAG_LOG"));
  EXPECT_EQ(profile.listener_path, "/l");
  EXPECT_EQ(profile.listener_metadata, "m");
  const oci::SyscallRule& last = profile.syscalls.back();
  EXPECT_EQ(last.errno_ret, 38U);
  EXPECT_THAT(last.args,
              ElementsAre(oci::SyscallArgument{1, ~std::uint64_t{0}, 3, "SCMP_CMP_MASKED_EQ"}));
}

TEST(SeccompProfile, BadProfilesAreRefused) {
  for (
      const char* text :
      {"", "[]", "{}", "{\"defaultAction\": 1}",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [1]})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"}]})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": -1})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 5000})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "args": [{"index": 6}]}]})",
       R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "includes": {"minKernel": "new"}}]})"}) {
    try {
      runtime::parse_seccomp_profile(text, {});
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid) << error.what();
    }
  }
}

}  // namespace
