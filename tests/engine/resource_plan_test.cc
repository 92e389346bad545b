#include "engine/resource_plan.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

TEST(Device, TextsAreTakenApart) {
  const auto check = [](const char* text, const char* host, const char* container,
                        const char* access) {
    const DeviceOption option = parse_device_option(text);
    EXPECT_EQ(option.host, host) << text;
    EXPECT_EQ(option.container, container) << text;
    EXPECT_EQ(option.access, access) << text;
  };
  check("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm");
  check("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r");
  check("/dev/fuse:/dev/x", "/dev/fuse", "/dev/x", "rwm");
  check("/dev/fuse:/dev/x:rw", "/dev/fuse", "/dev/x", "rw");
  for (const char* bad : {"", ":", "/dev/a:/dev/b:x", "/dev/a:/b:r:w", "/dev/a:b"}) {
    EXPECT_THROW(parse_device_option(bad), base::Error) << bad;
  }
}

TEST(Resources, FollowTheOptions) {
  ContainerOptions options;
  options.memory = 100 << 20;
  options.nano_cpus = 100'000'000;
  options.pids_limit = 20;
  const oci::Resources resources = plan_resources(options, {});
  EXPECT_EQ(resources.memory.limit, 100 << 20);
  EXPECT_EQ(resources.memory.swap, 200 << 20);
  EXPECT_EQ(resources.cpu.quota, 10000);
  EXPECT_EQ(resources.cpu.period, 100000U);
  EXPECT_EQ(resources.pids_limit, 20);
  EXPECT_EQ(resources.devices, runtime::default_device_rules());
}

TEST(Resources, SwapBelowMemoryIsRefused) {
  ContainerOptions options;
  options.memory_swap = 10;
  EXPECT_THROW(plan_resources(options, {}), base::Error);
  options.memory = 20;
  EXPECT_THROW(plan_resources(options, {}), base::Error);
  options.memory_swap = -1;
  EXPECT_EQ(plan_resources(options, {}).memory.swap, -1);
}

TEST(Resources, DevicesGetARuleEach) {
  HostDevice device{.node = {.path = "/dev/fuse", .type = 'c', .major = 10, .minor = 229},
                    .access = "rw"};
  const oci::Resources resources = plan_resources({}, {device});
  const oci::DeviceRule& rule = resources.devices.back();
  EXPECT_TRUE(rule.allow);
  EXPECT_EQ(rule.major, 10);
  EXPECT_EQ(rule.access, "rw");
  ContainerOptions options;
  options.privileged = true;
  ASSERT_EQ(plan_resources(options, {device}).devices.size(), 1U);
  EXPECT_TRUE(plan_resources(options, {device}).devices[0].allow);
}

TEST(Rlimits, AreHeldToWhatMayBeGiven) {
  const std::vector<oci::Rlimit> wanted = {{.type = "RLIMIT_NOFILE", .soft = 5000, .hard = 9000}};
  HardLimits limits{.maximum = {{"RLIMIT_NOFILE", 4096}}};
  EXPECT_EQ(plan_rlimits(wanted, limits)[0],
            (oci::Rlimit{.type = "RLIMIT_NOFILE", .soft = 4096, .hard = 4096}));
  limits.may_raise = true;
  EXPECT_EQ(plan_rlimits(wanted, limits), wanted);
}

TEST(Sysctls, OnlyNamespacedOnesAreAllowed) {  // CVE-2022-0811
  ContainerOptions options;
  options.sysctls = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}};
  EXPECT_EQ(plan_sysctls(options).at("net.ipv4.ip_forward"), "1");
  for (const char* bad :
       {"kernel.core_pattern", "kernel.shm_rmid_forced=1+kernel.core_pattern", "vm.swappiness",
        "net.ipv4.x\n", "net/../kernel/core_pattern", "net..x"}) {
    options.sysctls = {{bad, "1"}};
    EXPECT_THROW(plan_sysctls(options), base::Error) << bad;
  }
  options.sysctls = {{"kernel.msgmax", "1\n2"}};
  EXPECT_THROW(plan_sysctls(options), base::Error);
  options.sysctls = {{"net.ipv4.ip_forward", "1"}};
  options.network = NetworkMode::kHost;
  EXPECT_THROW(plan_sysctls(options), base::Error);
  options.sysctls.clear();
  EXPECT_TRUE(plan_sysctls(options).empty());
}

}  // namespace
}  // namespace engine
