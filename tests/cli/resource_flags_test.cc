#include "cli/resource_flags.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using cli::ResourceFlags;
using Words = std::vector<std::string>;

engine::ResourceLimits limits_of(const Words& words,
                                 ResourceFlags::Use use = ResourceFlags::Use::kCreate) {
  ResourceFlags flags;
  const auto table = flags.flags(use);
  cli::parse_arguments({.command = "run", .synopsis = "", .summary = ""}, table, words);
  return flags.to_limits();
}

std::string refusal_of(const Words& words) {
  try {
    limits_of(words);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "none";
}

TEST(ResourceFlags, AllOfThemAreRead) {
  const auto limits = limits_of({"-m",
                                 "5m",
                                 "--memory-swap",
                                 "-1",
                                 "--memory-reservation=1m",
                                 "--memory-swappiness",
                                 "0",
                                 "--oom-kill-disable",
                                 "--cpus",
                                 "1.5",
                                 "--cpu-period",
                                 "1000",
                                 "--cpu-quota",
                                 "-1",
                                 "--cpu-rt-period",
                                 "10",
                                 "--cpu-rt-runtime",
                                 "5",
                                 "-c",
                                 "7",
                                 "--cpuset-cpus",
                                 "0-1",
                                 "--cpuset-mems",
                                 "0",
                                 "--pids-limit",
                                 "-1",
                                 "--blkio-weight",
                                 "20",
                                 "--blkio-weight-device",
                                 "/dev/sda:30",
                                 "--device-read-bps",
                                 "/dev/sda:1mb",
                                 "--device-write-bps",
                                 "/dev/sda:2kb",
                                 "--device-read-iops",
                                 "/dev/sda:3",
                                 "--device-write-iops",
                                 "/dev/sda:4",
                                 "--kernel-memory",
                                 "1g"});
  EXPECT_EQ(limits, (engine::ResourceLimits{.memory = 5 << 20,
                                            .memory_swap = -1,
                                            .memory_reservation = 1 << 20,
                                            .kernel_memory = 1 << 30,
                                            .memory_swappiness = 0,
                                            .oom_kill_disable = true,
                                            .nano_cpus = 1'500'000'000,
                                            .cpu_period = 1000,
                                            .cpu_quota = -1,
                                            .cpu_realtime_period = 10,
                                            .cpu_realtime_runtime = 5,
                                            .cpu_shares = 7,
                                            .cpuset_cpus = "0-1",
                                            .cpuset_mems = "0",
                                            .pids_limit = -1,
                                            .blkio_weight = 20,
                                            .blkio_weight_devices = {{"/dev/sda", 30}},
                                            .read_bps = {{"/dev/sda", 1 << 20}},
                                            .write_bps = {{"/dev/sda", 2048}},
                                            .read_iops = {{"/dev/sda", 3}},
                                            .write_iops = {{"/dev/sda", 4}}}));
  EXPECT_EQ(limits_of({}), engine::ResourceLimits{});
}

TEST(ResourceFlags, UpdateHasThoseThatDockersHas) {
  EXPECT_EQ(limits_of({"--cpus", "1"}, ResourceFlags::Use::kUpdate).nano_cpus, 1'000'000'000);
  EXPECT_THROW(limits_of({"--device-read-bps", "/dev/a:1"}, ResourceFlags::Use::kUpdate),
               cli::UsageError);
}

TEST(ResourceFlags, BadOnesAreRefusedInDockersWords) {
  const auto expect = [](const Words& words, const char* told) {
    EXPECT_NE(refusal_of(words).find(told), std::string::npos)
        << words[1] << ": " << refusal_of(words);
  };
  expect({"--device-read-bps", "/dev/sda"},
         "invalid argument \"/dev/sda\" for \"--device-read-bps\" flag: bad format: /dev/sda");
  expect({"--device-read-bps", "sda:1mb"}, "bad format for device path: sda:1mb");
  expect({"--device-write-bps", "/dev/sda:lots"},
         "invalid rate for device: /dev/sda:lots. The correct format is "
         "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and "
         "can be kb, mb, or gb");
  expect({"--device-write-iops", "/dev/sda:1mb"},
         "invalid rate for device: /dev/sda:1mb. The correct format is <device-path>:<number>. "
         "Number must be a positive integer");
  expect({"--device-read-iops", "/dev/sda:-1"}, "invalid rate for device");
  expect({"--blkio-weight-device", "/dev/sda:5"}, "invalid weight for device: /dev/sda:5");
  expect({"--blkio-weight", "70000"}, "invalid argument \"70000\" for \"--blkio-weight\" flag");
  expect({"--memory-swappiness", "101"},
         "invalid value: 101. Valid memory swappiness range is 0-100");
  expect({"-m", "lots"}, "invalid argument \"lots\" for \"-m, --memory\" flag");
  expect({"--cpus", "two"}, "failed to parse two as a rational number");
}

}  // namespace
