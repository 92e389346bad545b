#include "engine/resource_limits.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

const ResourceSupport kEverything = {.cpus = "0-3", .memory_nodes = "0", .cpu_count = 4};

std::string refusal_of(ResourceLimits limits, const ResourceSupport& support = kEverything) {
  try {
    check_limits(limits, support);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "none";
}

TEST(ResourceLimits, WhatIsRightPasses) {
  ResourceLimits limits = {.memory = 100,
                           .memory_swap = 200,
                           .memory_reservation = 50,
                           .memory_swappiness = 100,
                           .nano_cpus = 4'000'000'000,
                           .cpuset_cpus = "0,2-3",
                           .cpuset_mems = "0",
                           .blkio_weight = 1000};
  const ResourceLimits same = limits;
  EXPECT_TRUE(check_limits(limits, kEverything).empty());
  EXPECT_EQ(limits, same);
}

TEST(ResourceLimits, ContradictionsAreRefusedInDockersWords) {
  EXPECT_EQ(refusal_of({.memory_swap = 10}),
            "You should always set the Memory limit when using Memoryswap limit, see usage");
  EXPECT_EQ(refusal_of({.memory = 20, .memory_swap = 10}),
            "Minimum memoryswap limit should be larger than memory limit, see usage");
  EXPECT_EQ(refusal_of({.memory = 20, .memory_reservation = 30}),
            "Minimum memory limit can not be less than memory reservation limit, see usage");
  EXPECT_EQ(refusal_of({.nano_cpus = 1, .cpu_period = 1000}),
            "Conflicting options: Nano CPUs and CPU Period cannot both be set");
  EXPECT_EQ(refusal_of({.nano_cpus = 1, .cpu_quota = 1000}),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  EXPECT_EQ(refusal_of({.nano_cpus = 5'000'000'000}),
            "Range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available");
  EXPECT_EQ(refusal_of({.cpu_period = 999}),
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  EXPECT_EQ(refusal_of({.cpu_quota = 999}), "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  EXPECT_EQ(refusal_of({.cpu_realtime_period = 1, .cpu_realtime_runtime = 2}),
            "cpu real-time runtime cannot be higher than cpu real-time period");
  EXPECT_EQ(refusal_of({.cpuset_cpus = "x"}), "Invalid value x for cpuset cpus");
  EXPECT_EQ(refusal_of({.cpuset_cpus = "2-5"}),
            "Requested CPUs are not available - requested 2-5, available: 0-3");
  EXPECT_EQ(refusal_of({.cpuset_mems = "1"}),
            "Requested memory nodes are not available - requested 1, available: 0");
  EXPECT_EQ(refusal_of({.blkio_weight = 9}), "Range of blkio weight is from 10 to 1000");
}

TEST(ResourceLimits, WhatTheKernelCannotLimitIsTakenAwayAndTold) {
  ResourceLimits limits = {.memory = 100,
                           .memory_swap = 200,
                           .memory_swappiness = 1,
                           .oom_kill_disable = true,
                           .cpu_shares = 5,
                           .pids_limit = 3,
                           .blkio_weight = 10,
                           .read_bps = {{"/dev/sda", 1}}};
  ResourceSupport none;
  none.memory = none.swap = none.swappiness = none.oom_kill_disable = none.cpu_shares = false;
  none.pids = none.blkio_weight = none.blkio_throttle = false;
  const auto warnings = check_limits(limits, none);
  EXPECT_EQ(limits, ResourceLimits{});
  ASSERT_EQ(warnings.size(), 7U);
  EXPECT_EQ(warnings[0],
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
            "Limitation discarded.");
  EXPECT_EQ(warnings[2], "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
}

TEST(ResourceLimits, WithoutSwapAccountingMemoryIsStillLimited) {
  ResourceLimits limits = {.memory = 100};
  ResourceSupport support = kEverything;
  support.swap = false;
  EXPECT_EQ(check_limits(limits, support).size(), 1U);
  EXPECT_EQ(limits.memory, 100);
  EXPECT_EQ(limits.memory_swap, -1);
}

TEST(ResourceLimits, AnOomKillerThatIsOffWithoutLimitIsWarnedAbout) {
  ResourceLimits limits = {.oom_kill_disable = true};
  const auto warnings = check_limits(limits, kEverything);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_TRUE(warnings[0].starts_with("OOM killer is disabled for the container, but no memory"));
  limits.memory = 100;
  EXPECT_TRUE(check_limits(limits, kEverything).empty());
}

TEST(ResourceLimits, AnUpdateChangesWhatItNames) {
  const ResourceLimits current = {.memory = 100, .memory_swap = 300, .cpu_shares = 5};
  const ResourceLimits merged = merge_limits(current, {.memory = 200, .pids_limit = 7});
  EXPECT_EQ(merged,
            (ResourceLimits{.memory = 200, .memory_swap = 300, .cpu_shares = 5, .pids_limit = 7}));
}

TEST(ResourceLimits, AnUpdateThatDoesNotFitIsRefusedInDockersWords) {
  const auto refusal = [](const ResourceLimits& current, const ResourceLimits& change) {
    try {
      merge_limits(current, change);
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(refusal({.memory = 100}, {.memory = 300}),
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time");
  EXPECT_EQ(refusal({.memory = 100}, {.memory = 300, .memory_swap = 300}), "none");
  EXPECT_EQ(refusal({.nano_cpus = 1}, {.cpu_quota = 1000}),
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
  EXPECT_EQ(refusal({.cpu_period = 1000}, {.nano_cpus = 1}),
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
}

TEST(ResourceLimits, ListsOfNumbers) {
  EXPECT_EQ(parse_number_list("3,0-1,1"), (std::vector<int>{0, 1, 3}));
  for (const char* bad : {"", "-", "1-", "2-1", "0,", "a", "1-2-3", "-1", "99999"}) {
    EXPECT_EQ(parse_number_list(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace engine
