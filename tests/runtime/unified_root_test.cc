// The same on a host that has nothing but cgroup v2: made by a mount namespace that shows no other.
#include <csignal>
#include <sched.h>
#include <sys/mount.h>

#include "runtime/cgroup.h"
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class UnifiedTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (IsSkipped()) return;
    own_ = base::open_file("/proc/self/ns/mnt", O_RDONLY);
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    umount2("/sys/fs/cgroup", MNT_DETACH);
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr) != 0) {
      GTEST_SKIP() << "needs cgroup v2";
    }
    ASSERT_EQ(detect_cgroups().layout, CgroupLayout::kV2);
  }
  void TearDown() override {
    ContainerTest::TearDown();
    if (own_) {
      EXPECT_EQ(setns(own_.get(), CLONE_NEWNS), 0);
      EXPECT_EQ(chdir("/"), 0);
    }
  }
  base::UniqueFd own_;
};

TEST_F(UnifiedTest, RunsInAGroupOfItsOwn) {
  const Outcome outcome =
      sh("cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | head -1; "
         "mkdir /sys/fs/cgroup/x; head -c 1 /dev/urandom | wc -c");
  EXPECT_NE(outcome.output.find("0::/\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("\n1\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("Read-only file system\n1\n"), std::string::npos) << outcome.output;
}

TEST_F(UnifiedTest, ExecJoinsTheGroup) {
  const Created created = start_sleeper();
  const Outcome outcome = exec_in("one", {"sh", "-c", "cat /proc/self/cgroup; cat /proc/1/cgroup"});
  EXPECT_NE(outcome.output.find("0::/\n"), std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("0::/.."), std::string::npos) << outcome.output;
}

TEST_F(UnifiedTest, IsPausedAndKilledByItsGroup) {
  const Created created = start_sleeper();
  pause(state_dir("one"));
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kPaused);
  kill_container(state_dir("one"), SIGKILL, KillScope::kAll);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 137);
  remove(state_dir("one"), RemoveMode::kStoppedOnly);
  for (const std::string& path : created.cgroup_paths) EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace runtime
