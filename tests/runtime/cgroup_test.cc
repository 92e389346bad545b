// Where groups are found and what is planned for them, from texts alone.
#include "runtime/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/cgroup_limits.h"
#include "runtime/defaults.h"

namespace {

using runtime::CgroupHost;
using runtime::CgroupLayout;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kHybridMounts[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n"
    "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
constexpr char kHybridSelf[] =
    "9:name=systemd:/\n8:pids:/\n7:blkio:/\n6:freezer:/\n5:devices:/\n4:memory:/jobs/a\n3:cpuset:/"
    "\n"
    "2:cpuacct:/\n1:cpu:/\n0::/\n";

CgroupHost hybrid() { return runtime::parse_cgroup_host(kHybridMounts, kHybridSelf, ""); }

CgroupHost v2(const char* self = "0::/user.slice/session\n",
              const char* controllers = "cpuset cpu io memory hugetlb pids") {
  return runtime::parse_cgroup_host(
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", self, controllers);
}

std::string plan_text(const oci::Resources& resources, const CgroupHost& host,
                      const char* path = "/sampan/x") {
  return render(runtime::plan_cgroups(path, resources, host));
}

oci::Resources allow_all_devices() {
  oci::Resources resources;
  resources.devices = {{.allow = true, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  return resources;
}

template <class Change>
oci::Resources with(Change change) {
  oci::Resources resources = allow_all_devices();
  change(resources);
  return resources;
}

TEST(CgroupHost, HybridWithSingleMounts) {
  const CgroupHost host = hybrid();
  EXPECT_EQ(host.layout, CgroupLayout::kHybrid);
  ASSERT_EQ(host.v1.size(), 9U);
  EXPECT_EQ(host.v1[3].mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(host.v1[3].own_path, "/jobs/a");
  EXPECT_THAT(host.v1[8].controllers, ElementsAre("name=systemd"));
  EXPECT_EQ(host.v2->mount_point, "/sys/fs/cgroup/unified");
}

TEST(CgroupHost, UnifiedOnly) {
  const CgroupHost host = v2();
  EXPECT_EQ(host.layout, CgroupLayout::kV2);
  EXPECT_EQ(host.v2->own_path, "/user.slice/session");
  EXPECT_THAT(host.v2->controllers, testing::Contains("memory"));
}

TEST(CgroupHost, ComountedControllersEscapesAndRoots) {
  // Debian's systemd hybrid; a blank in the path; and a container without a cgroup namespace.
  const CgroupHost host = runtime::parse_cgroup_host(
      "1 2 0:3 /docker/abc /sys/fs/cgroup/cpu\\040and ro,relatime master:9 - cgroup cgroup "
      "rw,cpu,cpuacct\n"
      "1 2 0:4 /docker/abc /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n"
      "garbage\n1 2 3 - cgroup\n",
      "4:cpu,cpuacct:/docker/abc/inner\n0::/docker/abc\n", "");
  EXPECT_EQ(host.layout, CgroupLayout::kHybrid);
  ASSERT_EQ(host.v1.size(), 1U);
  EXPECT_EQ(host.v1[0].mount_point, "/sys/fs/cgroup/cpu and");
  EXPECT_THAT(host.v1[0].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(host.v1[0].own_path, "/inner");
  EXPECT_EQ(host.v2->own_path, "/");
}

TEST(CgroupHost, NothingMounted) {
  EXPECT_EQ(runtime::parse_cgroup_host("", "", "").layout, CgroupLayout::kNone);
  EXPECT_EQ(runtime::parse_cgroup_host(
                "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
                "9:name=systemd:/\n", "")
                .layout,
            CgroupLayout::kNone);
}

TEST(CgroupPlan, V1WithoutLimitsOnlyJoins) {
  EXPECT_EQ(plan_text(allow_all_devices(), hybrid()),
            "make /sys/fs/cgroup/cpu/sampan/x\n"
            "make /sys/fs/cgroup/cpuacct/sampan/x\n"
            "make /sys/fs/cgroup/memory/sampan/x\n"
            "make /sys/fs/cgroup/devices/sampan/x\n"
            "make /sys/fs/cgroup/freezer/sampan/x\n"
            "make /sys/fs/cgroup/pids/sampan/x\n"
            "join by /sys/fs/cgroup/cpu/sampan/x/tasks\n"
            "join by /sys/fs/cgroup/cpuacct/sampan/x/tasks\n"
            "join by /sys/fs/cgroup/memory/sampan/x/tasks\n"
            "join by /sys/fs/cgroup/devices/sampan/x/tasks\n"
            "join by /sys/fs/cgroup/freezer/sampan/x/tasks\n"
            "join by /sys/fs/cgroup/pids/sampan/x/tasks\n");
}

TEST(CgroupPlan, V1Limits) {
  const std::string text = plan_text(with([](oci::Resources& resources) {
                                       resources.memory.limit = 5000000;
                                       resources.memory.swap = 10000000;
                                       resources.cpu.period = 100000;
                                       resources.cpu.quota = 10000;
                                       resources.cpu.shares = 512;
                                       resources.pids_limit = 100;
                                     }),
                                     hybrid());
  const std::string memory = "/sys/fs/cgroup/memory/sampan/x/memory.";
  EXPECT_THAT(text, HasSubstr("write " + memory + "limit_in_bytes: 5000000\nwrite " + memory +
                              "memsw.limit_in_bytes: 10000000 (if the file exists)\n"));
  EXPECT_THAT(text, HasSubstr("cpu.shares: 512\n"));
  EXPECT_THAT(text, HasSubstr("cpu.cfs_period_us: 100000 (or after the next)\n"
                              "write /sys/fs/cgroup/cpu/sampan/x/cpu.cfs_quota_us: 10000\n"));
  EXPECT_THAT(text, HasSubstr("pids.max: 100\n"));
  EXPECT_THAT(text, Not(HasSubstr("cpuset")));
}

TEST(CgroupPlan, V1CpusetFillsEveryLevelFirst) {
  const std::string text =
      plan_text(with([](oci::Resources& resources) { resources.cpu.cpus = "0"; }), hybrid());
  EXPECT_THAT(text, HasSubstr("inherit if empty /sys/fs/cgroup/cpuset/sampan/cpuset.cpus: "
                              "/sys/fs/cgroup/cpuset/cpuset.cpus\n"
                              "inherit if empty /sys/fs/cgroup/cpuset/sampan/cpuset.mems: "
                              "/sys/fs/cgroup/cpuset/cpuset.mems\n"
                              "inherit if empty /sys/fs/cgroup/cpuset/sampan/x/cpuset.cpus: "
                              "/sys/fs/cgroup/cpuset/sampan/cpuset.cpus\n"
                              "inherit if empty /sys/fs/cgroup/cpuset/sampan/x/cpuset.mems: "
                              "/sys/fs/cgroup/cpuset/sampan/cpuset.mems\n"
                              "write /sys/fs/cgroup/cpuset/sampan/x/cpuset.cpus: 0\n"));
}

TEST(CgroupPlan, V1Devices) {
  oci::Resources resources;
  resources.devices = runtime::default_device_rules();
  const std::string text = plan_text(resources, hybrid());
  EXPECT_THAT(text, HasSubstr("write /sys/fs/cgroup/devices/sampan/x/devices.deny: a\n"
                              "write /sys/fs/cgroup/devices/sampan/x/devices.allow: c 1:5 rwm\n"));
  EXPECT_THAT(text, HasSubstr("devices.allow: c 136:* rwm\n"));
}

TEST(CgroupPlan, V1BlockIoAndHugePages) {
  const std::string text = plan_text(with([](oci::Resources& resources) {
                                       resources.block_io.weight = 300;
                                       resources.block_io.throttle_read_bps = {{8, 16, 1048576}};
                                     }),
                                     hybrid());
  EXPECT_THAT(text, HasSubstr("blkio.weight: 300 (else the next)\nwrite "
                              "/sys/fs/cgroup/blkio/sampan/x/blkio.bfq.weight: 300\n"));
  EXPECT_THAT(text, HasSubstr("blkio.throttle.read_bps_device: 8:16 1048576\n"));
}

TEST(CgroupPlan, RelativePathsStartAtOurOwnGroup) {
  EXPECT_THAT(plan_text(allow_all_devices(), hybrid(), "box//./y/"),
              HasSubstr("make /sys/fs/cgroup/memory/jobs/a/box/y\n"));
  EXPECT_THAT(plan_text(allow_all_devices(), v2(), "box/y"),
              HasSubstr("make /sys/fs/cgroup/user.slice/box/y\n"));
}

TEST(CgroupPlan, V2) {
  oci::Resources resources;
  resources.devices = {{.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  resources.memory.limit = 5000000;
  resources.memory.swap = 12000000;
  resources.cpu.quota = 10000;
  resources.cpu.period = 100000;
  resources.cpu.shares = 1024;
  resources.pids_limit = -1;
  resources.unified = {{"memory.high", "4000000"}};
  EXPECT_EQ(
      plan_text(resources, v2()),
      "make /sys/fs/cgroup/sampan/x\n"
      "enable what is missing /sys/fs/cgroup/cgroup.subtree_control: +cpu +memory +pids\n"
      "enable what is missing /sys/fs/cgroup/cgroup.subtree_control: +io (may fail)\n"
      "enable what is missing /sys/fs/cgroup/sampan/cgroup.subtree_control: +cpu +memory +pids\n"
      "enable what is missing /sys/fs/cgroup/sampan/cgroup.subtree_control: +io (may fail)\n"
      "write /sys/fs/cgroup/sampan/x/memory.swap.max: 7000000 (if the file exists)\n"
      "write /sys/fs/cgroup/sampan/x/memory.max: 5000000\n"
      "write /sys/fs/cgroup/sampan/x/cpu.weight: 100\n"
      "write /sys/fs/cgroup/sampan/x/cpu.max: 10000 100000\n"
      "write /sys/fs/cgroup/sampan/x/pids.max: max\n"
      "write /sys/fs/cgroup/sampan/x/memory.high: 4000000\n"
      "attach device program /sys/fs/cgroup/sampan/x: deny all but c *:* m, b *:* m, c 1:3 rwm, c "
      "1:5 rwm, "
      "c 1:7 rwm, c 1:8 rwm, c 1:9 rwm, c 5:0 rwm, c 5:2 rwm, c 136:* rwm\n"
      "clone into /sys/fs/cgroup/sampan/x\n");
}

TEST(CgroupPlan, V2BlockIo) {
  const std::string text = plan_text(with([](oci::Resources& resources) {
                                       resources.block_io.weight = 1000;
                                       resources.block_io.throttle_write_iops = {{8, 0, 0}};
                                       resources.hugepage_limits = {{"2MB", 4194304}};
                                       resources.cpu.quota = -1;
                                     }),
                                     v2());
  EXPECT_THAT(text, HasSubstr("+cpu +hugetlb +io\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "io.bfq.weight: 1000 (else the next)\nwrite /sys/fs/cgroup/sampan/x/io.weight: 10000\n"));
  EXPECT_THAT(text, HasSubstr("io.max: 8:0 wiops=max\n"));
  EXPECT_THAT(text, HasSubstr("hugetlb.2MB.max: 4194304\n"));
  EXPECT_THAT(text, HasSubstr("cpu.max: max\n"));
}

TEST(CgroupPlan, SharesBecomeWeights) {
  EXPECT_EQ(runtime::weight_from_shares(0), 0U);
  EXPECT_EQ(runtime::weight_from_shares(2), 1U);
  EXPECT_EQ(runtime::weight_from_shares(1024), 100U);
  EXPECT_EQ(runtime::weight_from_shares(262144), 10000U);
  EXPECT_EQ(runtime::weight_from_shares(~std::uint64_t{0}), 10000U);
  for (std::uint64_t shares = 3; shares < 262144; shares += 97) {
    EXPECT_LE(runtime::weight_from_shares(shares), runtime::weight_from_shares(shares + 1));
  }
}

TEST(CgroupPlan, SwapAloneFromMemoryAndSwap) {
  const auto swap = [](std::optional<std::int64_t> limit, std::optional<std::int64_t> both) {
    oci::Resources::Memory memory;
    memory.limit = limit;
    memory.swap = both;
    return runtime::swap_from_memory_swap(memory);
  };
  EXPECT_EQ(swap({}, {}), std::nullopt);
  EXPECT_EQ(swap(100, {}), std::nullopt);
  EXPECT_EQ(swap(100, 100), 0);
  EXPECT_EQ(swap(100, 250), 150);
  EXPECT_EQ(swap(100, -1), -1);
  EXPECT_EQ(swap(-1, {}), -1);
}

void expect_refused(base::ErrorKind kind, const oci::Resources& resources, const CgroupHost& host,
                    const char* path = "/sampan/x") {
  try {
    runtime::plan_cgroups(path, resources, host);
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
  }
}

TEST(CgroupPlan, Refusals) {
  using base::ErrorKind;
  const auto memory = [](std::int64_t limit, std::int64_t swap) {
    return with([&](oci::Resources& resources) {
      resources.memory.limit = limit;
      resources.memory.swap = swap;
    });
  };
  expect_refused(ErrorKind::kInvalid, memory(100, 50), hybrid());
  expect_refused(ErrorKind::kInvalid, memory(0, 50), hybrid());
  expect_refused(ErrorKind::kInvalid, memory(-5, 0), v2());
  for (const char* path : {"", "/", "/../x", "a/../../b", "/sampan/..", "./"}) {
    expect_refused(ErrorKind::kInvalid, allow_all_devices(), hybrid(), path);
  }
  const auto unified = [](const char* file) {
    return with([&](oci::Resources& resources) { resources.unified = {{file, "1"}}; });
  };
  expect_refused(ErrorKind::kUnsupported, unified("memory.high"), hybrid());
  expect_refused(ErrorKind::kInvalid, unified("../memory.high"), v2());
  expect_refused(ErrorKind::kInvalid, unified(""), v2());
  expect_refused(ErrorKind::kUnsupported, unified("rdma.max"), v2());
  expect_refused(ErrorKind::kUnsupported, with([](auto& resources) {
                   resources.hugepage_limits = {{"2MB", 1}};
                 }),
                 hybrid());
  expect_refused(ErrorKind::kInvalid, with([](auto& resources) {
                   resources.hugepage_limits = {{"2/MB", 1}};
                 }),
                 v2());
  expect_refused(ErrorKind::kUnsupported, memory(100, 0), v2("0::/\n", "cpu pids"));
  expect_refused(ErrorKind::kUnsupported, memory(100, 0), CgroupHost{});
  expect_refused(ErrorKind::kUnsupported, oci::Resources{}, CgroupHost{});  // its device rules
  EXPECT_EQ(plan_text(allow_all_devices(), CgroupHost{}), "");
}

}  // namespace
