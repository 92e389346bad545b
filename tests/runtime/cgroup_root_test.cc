// Control groups for real, in groups of the test's own: limits bite, signals reach everybody,
// nothing stays behind.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_stats.h"
#include "runtime/defaults.h"

namespace {

using namespace std::chrono_literals;

oci::Resources allow_all_devices() {
  oci::Resources resources;
  resources.devices = {{.allow = true, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  return resources;
}

bool wait_until(const std::function<bool()>& done) {
  for (int i = 0; i < 500; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    host_ = runtime::detect_cgroups();
    if (host_.layout == runtime::CgroupLayout::kNone) GTEST_SKIP() << "needs cgroups";
    name_ = "/sampan-dev-test-" + std::to_string(getpid());
    if (is_v2()) {
      // A private hierarchy's root may have processes, a container's has: see evacuate().
      ASSERT_EQ(access((host_.v2->mount_point + "/cgroup.procs").c_str(), W_OK), 0);
    }
  }

  void TearDown() override {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    for (const auto& hierarchy : host_.v1) {
      if (access((hierarchy.mount_point + name_).c_str(), F_OK) == 0)
        runtime::remove_cgroups({hierarchy.mount_point + name_});
    }
    if (host_.v2 && access((host_.v2->mount_point + name_).c_str(), F_OK) == 0) {
      runtime::remove_cgroups({host_.v2->mount_point + name_});
    }
  }

  bool is_v2() const { return host_.layout == runtime::CgroupLayout::kV2; }

  runtime::Cgroups make(const oci::Resources& resources, const std::string& id = "x") {
    return runtime::apply_cgroups(runtime::plan_cgroups(name_ + "/" + id, resources, host_));
  }

  // A child in the groups that runs `work` and exits with its result.
  pid_t start(const runtime::CgroupJoin& join, const std::function<int()>& work) {
    clone_args arguments = {};
    arguments.exit_signal = SIGCHLD;
    if (join.clone_into) {
      arguments.flags = CLONE_INTO_CGROUP;
      arguments.cgroup = static_cast<std::uint64_t>(join.clone_into.get());
    }
    const auto child = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
    if (child == 0) {
      for (const base::UniqueFd& fd : join.task_fds) {
        if (write(fd.get(), "0", 1) != 1) _exit(99);
      }
      _exit(work());
    }
    children_.push_back(child);
    return child;
  }

  int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    std::erase(children_, child);
    return status;
  }

  static int sleep_for_ever() {
    for (;;) pause();
  }

  runtime::CgroupHost host_;
  std::string name_;
  std::vector<pid_t> children_;
};

TEST_F(CgroupTest, ChildJoinsByItself) {
  const runtime::Cgroups groups = make(allow_all_devices());
  EXPECT_TRUE(runtime::list_pids(groups.paths).empty());
  const pid_t child = start(groups, sleep_for_ever);
  ASSERT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() == 1; }));
  EXPECT_THAT(runtime::list_pids(groups.paths), testing::ElementsAre(child));
  // In every hierarchy at once, in the end.
  EXPECT_TRUE(wait_until([&] {
    for (const std::string& path : groups.paths) {
      if (base::read_file(path + "/cgroup.procs") != std::to_string(child) + "\n") return false;
    }
    return true;
  }));
  // A second process comes in the same way.
  const pid_t second = start(runtime::open_cgroups(groups.paths, child), sleep_for_ever);
  EXPECT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() == 2; }));
  EXPECT_THAT(runtime::list_pids(groups.paths), testing::UnorderedElementsAre(child, second));
}

TEST_F(CgroupTest, InhabitedGroupIsRefusedAndLeftAlone) {
  const runtime::Cgroups groups = make(allow_all_devices());
  start(groups, sleep_for_ever);
  ASSERT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() == 1; }));
  try {
    make(allow_all_devices());
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kConflict);
  }
  for (const std::string& path : groups.paths) EXPECT_EQ(access(path.c_str(), F_OK), 0) << path;
}

TEST_F(CgroupTest, FailureLeavesNothing) {
  oci::Resources resources = allow_all_devices();
  resources.cpu.cpus = "9999";  // no such CPU: found out by the kernel only
  EXPECT_THROW(make(resources), base::Error);
  for (const auto& hierarchy : host_.v1) {
    EXPECT_NE(access((hierarchy.mount_point + name_ + "/x").c_str(), F_OK), 0)
        << hierarchy.mount_point;
  }
}

int take_megabytes(std::size_t count) {
  const std::size_t size = count << 20U;
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  for (std::size_t i = 0; i < size; i += 4096) static_cast<volatile char*>(memory)[i] = 1;
  return 0;
}

TEST_F(CgroupTest, FiveMegabytesKillWhoTakesTen) {
  oci::Resources resources = allow_all_devices();
  resources.memory.limit = 5 << 20U;
  resources.memory.swap = 5 << 20U;
  const runtime::Cgroups groups = make(resources);
  EXPECT_EQ(runtime::count_oom_kills(groups.paths), 0U);
  const int modest = status_of(start(groups, [] { return take_megabytes(2); }));
  EXPECT_TRUE(WIFEXITED(modest) && WEXITSTATUS(modest) == 0) << modest;
  EXPECT_EQ(runtime::count_oom_kills(groups.paths), 0U);
  const int greedy = status_of(start(groups, [] { return take_megabytes(10); }));
  ASSERT_TRUE(WIFSIGNALED(greedy)) << greedy;
  EXPECT_EQ(WTERMSIG(greedy), SIGKILL);
  EXPECT_EQ(runtime::count_oom_kills(groups.paths), 1U);
  const auto statistics = runtime::read_cgroup_statistics(groups.paths);
  EXPECT_EQ(statistics.memory.limit, 5U << 20U);
  EXPECT_LE(statistics.memory.usage, 5U << 20U);
  EXPECT_EQ(statistics.oom_kills, 1U);
}

TEST_F(CgroupTest, TenPercentHoldABusyLoop) {
  oci::Resources resources = allow_all_devices();
  resources.cpu.quota = 10000;
  resources.cpu.period = 100000;
  const runtime::Cgroups groups = make(resources);
  const pid_t child = start(groups, [] {
    for (;;) {
      asm volatile("");
    }
    return 0;
  });
  std::this_thread::sleep_for(300ms);  // past the first period
  const auto usage = [&] { return runtime::read_cgroup_statistics(groups.paths).cpu.total; };
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t before = usage();
  std::this_thread::sleep_for(3s);
  const auto elapsed =
      std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
  const double share = static_cast<double>(usage() - before) / elapsed;
  EXPECT_GE(share, 0.08);
  EXPECT_LE(share, 0.12);
  EXPECT_GT(runtime::read_cgroup_statistics(groups.paths).cpu.throttled_periods, 10U);
  kill(child, SIGKILL);
}

TEST_F(CgroupTest, ProcessesAreCounted) {
  oci::Resources resources = allow_all_devices();
  resources.pids_limit = 3;
  const runtime::Cgroups groups = make(resources);
  const int status = status_of(start(groups, [] {
    int made = 0;
    while (made < 10) {
      const pid_t child = fork();
      if (child == 0) sleep_for_ever();
      if (child < 0) break;
      ++made;
    }
    return errno == EAGAIN ? made : 50;
  }));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(runtime::read_cgroup_statistics(groups.paths).pids.limit, 3U);
  EXPECT_EQ(runtime::read_cgroup_statistics(groups.paths).pids.current, 2U);
  runtime::signal_cgroups(groups.paths, SIGKILL);
  EXPECT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).empty(); }));
}

// /dev/null is allowed, /dev/kmsg (1:11) is not, and its node may be made.
int probe_devices() {
  if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) return 1;
  if (open("/dev/kmsg", O_RDONLY | O_CLOEXEC) >= 0 || errno != EPERM) return 2;
  const std::string node = "/tmp/sampan-node-" + std::to_string(getpid());
  if (mknod(node.c_str(), S_IFCHR | 0600, makedev(1, 11)) != 0) return 3;
  const int fd = open(node.c_str(), O_RDONLY | O_CLOEXEC);
  const int failure = errno;
  unlink(node.c_str());
  return fd < 0 && failure == EPERM ? 0 : 4;
}

TEST_F(CgroupTest, DevicesOutsideTheListAreDenied) {
  ASSERT_GE(base::open_file("/dev/kmsg", O_RDONLY).get(), 0)
      << "the test itself must be allowed to";
  oci::Resources resources;
  resources.devices = runtime::default_device_rules();
  EXPECT_EQ(WEXITSTATUS(status_of(start(make(resources), probe_devices))), 0);
  resources.devices.push_back({.allow = true, .type = 'c', .major = 1, .minor = 11, .access = "r"});
  EXPECT_EQ(WEXITSTATUS(status_of(start(make(resources, "y"), probe_devices))), 2);
}

// The program for v2 works in the hybrid's empty v2 hierarchy, too.
TEST_F(CgroupTest, DeviceProgramOfCgroup2) {
  if (!host_.v2) GTEST_SKIP() << "needs a cgroup v2 mount";
  runtime::CgroupHost v2 = host_;
  v2.layout = runtime::CgroupLayout::kV2;
  v2.v1.clear();
  oci::Resources resources;
  resources.devices = runtime::default_device_rules();
  const auto groups = runtime::apply_cgroups(runtime::plan_cgroups(name_ + "/v2", resources, v2));
  ASSERT_TRUE(groups.clone_into);
  EXPECT_EQ(WEXITSTATUS(status_of(start(groups, probe_devices))), 0);
  resources.devices = {{.allow = true, .type = 'a', .major = {}, .minor = {}, .access = "rwm"},
                       {.allow = false, .type = 'c', .major = 1, .minor = 11, .access = "rwm"}};
  const auto open_groups =
      runtime::apply_cgroups(runtime::plan_cgroups(name_ + "/v2b", resources, v2));
  EXPECT_EQ(WEXITSTATUS(status_of(start(open_groups,
                                        [] {
                                          if (open("/dev/zero", O_RDONLY | O_CLOEXEC) < 0) return 1;
                                          return open("/dev/kmsg", O_RDONLY | O_CLOEXEC) < 0 &&
                                                         errno == EPERM
                                                     ? 0
                                                     : 2;
                                        }))),
            0);
}

TEST_F(CgroupTest, Cgroup2KillsFreezesAndRemoves) {
  if (!host_.v2) GTEST_SKIP() << "needs a cgroup v2 mount";
  runtime::CgroupHost v2 = host_;
  v2.layout = runtime::CgroupLayout::kV2;
  v2.v1.clear();
  const auto groups =
      runtime::apply_cgroups(runtime::plan_cgroups(name_ + "/v2", allow_all_devices(), v2));
  const pid_t child = start(groups, [] {
    fork();
    return sleep_for_ever();
  });
  ASSERT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() == 2; }));
  runtime::freeze_cgroups(groups.paths);
  EXPECT_TRUE(runtime::is_frozen(groups.paths));
  EXPECT_THAT(base::read_file(groups.paths[0] + "/cgroup.events"), testing::HasSubstr("frozen 1"));
  runtime::thaw_cgroups(groups.paths);
  EXPECT_FALSE(runtime::is_frozen(groups.paths));
  runtime::signal_cgroups(groups.paths, SIGKILL);
  const int status = status_of(child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  runtime::remove_cgroups(groups.paths);
  EXPECT_NE(access(groups.paths[0].c_str(), F_OK), 0);
}

// In a container that has its own cgroup namespace, the root that it sees is an ordinary group full
// of its processes: limits for groups below need room made first.
TEST_F(CgroupTest, Cgroup2MakesRoomInANamespace) {
  if (!is_v2()) GTEST_SKIP() << "needs a host with cgroup v2 controllers";
  const runtime::Cgroups outer = make(allow_all_devices(), "outer");
  const int status = status_of(start(outer, [] {
    if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS) != 0) return 10;
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 11;
    if (umount2("/sys/fs/cgroup", MNT_DETACH) != 0) return 16;
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0) return 12;
    oci::Resources resources = allow_all_devices();
    resources.memory.limit = 64 << 20U;
    const runtime::CgroupHost host = runtime::detect_cgroups();
    if (host.v2->own_path != "/") return 13;
    const auto inner = runtime::apply_cgroups(runtime::plan_cgroups("/inner", resources, host));
    if (base::read_file("/sys/fs/cgroup/inner/memory.max") != "67108864\n") return 14;
    if (base::read_file("/proc/self/cgroup") != "0::/init\n") return 15;
    return 0;
  }));
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(CgroupTest, FrozenDoesNotRun) {
  const runtime::Cgroups groups = make(allow_all_devices());
  auto* const counter = static_cast<volatile unsigned*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(counter, MAP_FAILED);
  start(groups, [&] {
    for (unsigned i = 1;; ++i) *counter = i;
    return 0;
  });
  ASSERT_TRUE(wait_until([&] { return *counter > 1000; }));
  EXPECT_FALSE(runtime::is_frozen(groups.paths));
  runtime::freeze_cgroups(groups.paths);
  EXPECT_TRUE(runtime::is_frozen(groups.paths));
  const unsigned stopped = *counter;
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(*counter, stopped);
  runtime::thaw_cgroups(groups.paths);
  EXPECT_FALSE(runtime::is_frozen(groups.paths));
  EXPECT_TRUE(wait_until([&] { return *counter > stopped; }));
  // A frozen container is still killed, and not left frozen.
  runtime::freeze_cgroups(groups.paths);
  runtime::signal_cgroups(groups.paths, SIGKILL);
  EXPECT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).empty(); }));
  munmap(const_cast<unsigned*>(counter), 4096);
}

// A signal other than SIGKILL waits in a frozen group until somebody thaws it.
TEST_F(CgroupTest, SignalsDoNotThawWhatIsPaused) {
  const runtime::Cgroups groups = make(allow_all_devices());
  const pid_t child = start(groups, sleep_for_ever);
  ASSERT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() == 1; }));
  runtime::freeze_cgroups(groups.paths);
  runtime::signal_cgroups(groups.paths, SIGTERM);
  EXPECT_TRUE(runtime::is_frozen(groups.paths));
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  runtime::thaw_cgroups(groups.paths);
  const int status = status_of(child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

// Processes that fork as fast as they can, in nested groups, all get the one signal.
TEST_F(CgroupTest, KillReachesWhoForksMeanwhile) {
  oci::Resources resources = allow_all_devices();
  resources.pids_limit = 200;
  const runtime::Cgroups groups = make(resources);
  for (int i = 0; i < 3; ++i) {
    start(groups, [] {
      signal(SIGCHLD, SIG_IGN);
      for (;;) {
        if (fork() == 0 && getpid() % 3 == 0) _exit(0);
      }
      return 0;
    });
  }
  ASSERT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).size() > 20; }));
  runtime::signal_cgroups(groups.paths, SIGKILL);
  for (const pid_t child : std::vector<pid_t>(children_)) status_of(child);
  EXPECT_TRUE(wait_until([&] { return runtime::list_pids(groups.paths).empty(); }));
  EXPECT_FALSE(runtime::is_frozen(groups.paths));
  runtime::remove_cgroups(groups.paths);
  for (const std::string& path : groups.paths) EXPECT_NE(access(path.c_str(), F_OK), 0) << path;
}

TEST_F(CgroupTest, NestedGroupsAreListedAndRemoved) {
  const runtime::Cgroups groups = make(allow_all_devices());
  for (const std::string& path : groups.paths) base::make_dirs(path + "/inner/deep");
  base::make_dirs(groups.paths[0] + "/other");
  const auto inner = [&] {
    std::vector<std::string> paths;
    for (const std::string& path : groups.paths) paths.push_back(path + "/inner/deep");
    return paths;
  }();
  const pid_t child = start(runtime::open_cgroups(inner), sleep_for_ever);
  EXPECT_TRUE(
      wait_until([&] { return runtime::list_pids(groups.paths) == std::vector<pid_t>{child}; }));
  try {
    runtime::remove_cgroups(groups.paths);
    ADD_FAILURE() << "removed under a living process";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kConflict) << error.what();
  }
  runtime::signal_cgroups(groups.paths, SIGKILL);
  status_of(child);
  runtime::remove_cgroups(groups.paths);
  runtime::remove_cgroups(groups.paths);  // gone is fine
  for (const std::string& path : groups.paths) EXPECT_NE(access(path.c_str(), F_OK), 0) << path;
  EXPECT_TRUE(runtime::list_pids(groups.paths).empty());
  EXPECT_NO_THROW(runtime::signal_cgroups(groups.paths, SIGKILL));
  EXPECT_EQ(runtime::count_oom_kills(groups.paths), 0U);
}

TEST_F(CgroupTest, LimitsChangeInPlaceUpAndDown) {
  if (is_v2()) GTEST_SKIP() << "about the two bounds of v1";
  oci::Resources resources = allow_all_devices();
  resources.memory.limit = 20 << 20U;
  resources.memory.swap = 30 << 20U;
  const runtime::Cgroups groups = make(resources);
  const auto expect = [&](std::int64_t limit, std::int64_t swap) {
    oci::Resources change;
    change.memory.limit = limit;
    change.memory.swap = swap;
    runtime::update_cgroups(groups.paths, change);
    const auto memory = runtime::read_cgroup_statistics(groups.paths).memory;
    EXPECT_EQ(memory.limit, limit < 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(limit));
    EXPECT_EQ(memory.swap_limit, swap < 0 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(swap));
  };
  expect(100 << 20U, 200 << 20U);  // above both old ones
  expect(8 << 20U, 16 << 20U);     // below both
  expect(-1, -1);
  expect(8 << 20U, 8 << 20U);
  oci::Resources change;
  change.cpu.quota = 50000;
  change.cpu.period = 200000;
  change.pids_limit = 7;
  runtime::update_cgroups(groups.paths, change);
  EXPECT_EQ(runtime::read_cgroup_statistics(groups.paths).pids.limit, 7U);
  change.cpu.period = 20000;  // with the old quota this alone would be 250 %
  change.cpu.quota = 1000;
  runtime::update_cgroups(groups.paths, change);
  change = {};
  change.cpu.cpus = "0";
  EXPECT_THROW(runtime::update_cgroups(groups.paths, change), base::Error);  // joined no cpuset
}

TEST_F(CgroupTest, CpusetTakesProcessesIn) {
  oci::Resources resources = allow_all_devices();
  resources.cpu.cpus = "0";
  const runtime::Cgroups groups = make(resources);
  const int status = status_of(start(groups, [] {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set) ? 0 : 2;
  }));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Many come and go below one parent that each tries to remove.
TEST_F(CgroupTest, CreatorsAndRemoversRace) {
  std::vector<pid_t> workers;
  const std::string shared = name_ + "/" + runtime::kSharedCgroup;
  for (int worker = 0; worker < 6; ++worker) {
    const pid_t child = fork();
    if (child == 0) {
      for (int round = 0; round < 30; ++round) {
        try {
          const std::string path = shared + "/" + std::to_string(getpid());
          const auto groups =
              runtime::apply_cgroups(runtime::plan_cgroups(path, allow_all_devices(), host_));
          runtime::remove_cgroups(groups.paths);
        } catch (const base::Error& error) {
          dprintf(2, "%s\n", error.what());
          _exit(1);
        }
      }
      _exit(0);
    }
    workers.push_back(child);
  }
  for (const pid_t child : workers) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (const auto& hierarchy : host_.v1) {
    EXPECT_NE(access((hierarchy.mount_point + shared).c_str(), F_OK), 0) << hierarchy.mount_point;
  }
}

}  // namespace
