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
  options.limits.memory = 100 << 20;
  options.limits.nano_cpus = 100'000'000;
  options.limits.pids_limit = 20;
  const oci::Resources resources = plan_resources(options, {});
  EXPECT_EQ(resources.memory.limit, 100 << 20);
  EXPECT_EQ(resources.memory.swap, 200 << 20);
  EXPECT_EQ(resources.cpu.quota, 10000);
  EXPECT_EQ(resources.cpu.period, 100000U);
  EXPECT_EQ(resources.pids_limit, 20);
  EXPECT_EQ(resources.devices, runtime::default_device_rules());
}

TEST(Resources, EveryLimitArrives) {
  ContainerOptions options;
  options.limits = {.memory = 100,
                    .memory_swap = -1,
                    .memory_reservation = 50,
                    .memory_swappiness = 0,
                    .oom_kill_disable = true,
                    .cpu_period = 20000,
                    .cpu_quota = 10000,
                    .cpu_realtime_period = 1000,
                    .cpu_realtime_runtime = 500,
                    .cpu_shares = 512,
                    .cpuset_cpus = "0",
                    .cpuset_mems = "0",
                    .pids_limit = -1,
                    .blkio_weight = 300};
  const oci::Resources resources = plan_resources(options, {});
  EXPECT_EQ(resources.memory.swap, -1);
  EXPECT_EQ(resources.memory.reservation, 50);
  EXPECT_EQ(resources.memory.swappiness, 0U);
  EXPECT_EQ(resources.memory.disable_oom_killer, true);
  EXPECT_EQ(resources.cpu.period, 20000U);
  EXPECT_EQ(resources.cpu.quota, 10000);
  EXPECT_EQ(resources.cpu.realtime_period, 1000U);
  EXPECT_EQ(resources.cpu.realtime_runtime, 500);
  EXPECT_EQ(resources.cpu.shares, 512U);
  EXPECT_EQ(resources.cpu.cpus, "0");
  EXPECT_EQ(resources.cpu.mems, "0");
  EXPECT_EQ(resources.pids_limit, -1);
  EXPECT_EQ(resources.block_io.weight, 300);
}

TEST(Resources, DisksAreLimitedByNumber) {
  const ResourceLimits limits = {.blkio_weight_devices = {{.path = "/dev/sda", .weight = 100}},
                                 .read_bps = {{.path = "/dev/sda", .rate = 1}},
                                 .write_bps = {{.path = "/dev/sdb", .rate = 2}},
                                 .read_iops = {{.path = "/dev/sda", .rate = 3}},
                                 .write_iops = {{.path = "/dev/sda", .rate = 4}}};
  oci::Resources::BlockIo io;
  plan_disk_limits(limits, {{"/dev/sda", {8, 0}}, {"/dev/sdb", {8, 16}}}, io);
  EXPECT_EQ(io.weight_devices.at(0).weight, 100);
  EXPECT_EQ(io.weight_devices.at(0).major, 8);
  EXPECT_EQ(io.throttle_read_bps.at(0), (oci::ThrottleDevice{.major = 8, .minor = 0, .rate = 1}));
  EXPECT_EQ(io.throttle_write_bps.at(0), (oci::ThrottleDevice{.major = 8, .minor = 16, .rate = 2}));
  EXPECT_EQ(io.throttle_read_iops.at(0).rate, 3U);
  EXPECT_EQ(io.throttle_write_iops.at(0).rate, 4U);
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
