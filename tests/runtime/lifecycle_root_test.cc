#include <csignal>
#include <thread>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;
using LifecycleTest = ContainerTest;

// Like sampan-oci: `create` in one process that then goes away, `start` from another.
void create_elsewhere(const oci::RuntimeSpec& spec, CreateOptions options) {
  options.exec_fifo = true;
  options.die_with_parent = false;
  const pid_t creator = fork();
  if (creator == 0) {
    try {
      const Created created = create(spec, options);
      _exit(0);
    } catch (const base::Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(1);
    }
  }
  ASSERT_EQ(base::wait_for_child(creator), 0);
}

TEST_F(LifecycleTest, StatesFollowEachOther) {
  Created created = create(make_spec({"sleep", "1000"}), make_options());
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kCreated);
  start(created);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
  pause(state_dir("one"));
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kPaused);
  EXPECT_EQ(error_of([&] { exec_in("one", {"true"}); }, ErrorKind::kConflict),
            "cannot exec in a paused container (use --ignore-paused to override)");
  resume(state_dir("one"));
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
  kill_container(state_dir("one"), SIGKILL);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 137);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kStopped);
  EXPECT_EQ(error_of([&] { kill_container(state_dir("one"), SIGTERM); }, ErrorKind::kConflict),
            "container \"one\" is stopped, not running");
  remove(state_dir("one"), RemoveMode::kStoppedOnly);
  error_of([&] { load_state(state_dir("one")); }, ErrorKind::kNotFound);
  remove(state_dir("one"), RemoveMode::kForced);
}

TEST_F(LifecycleTest, ARunningOneIsOnlyRemovedByForce) {
  const Created created = start_sleeper();
  EXPECT_EQ(
      error_of([&] { remove(state_dir("one"), RemoveMode::kStoppedOnly); }, ErrorKind::kConflict),
      "container \"one\" is running, not stopped");
  remove(state_dir("one"), RemoveMode::kForced);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 137);
  for (const std::string& path : created.cgroup_paths) EXPECT_FALSE(fs::exists(path)) << path;
}

TEST_F(LifecycleTest, APausedOneCanBeKilled) {
  const Created created = start_sleeper();
  pause(state_dir("one"));
  kill_container(state_dir("one"), SIGKILL);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 137);
}

TEST_F(LifecycleTest, SignalsReachInitOrAll) {
  const oci::RuntimeSpec spec = make_spec(
      {"sh", "-c", "trap 'exit 9' USR1; sleep 1000 & echo ready; while true; do wait; done"});
  CreateOptions options = make_options();
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const base::UniqueFd reader(ends[0]);
  base::UniqueFd writer(ends[1]);
  options.stdio.out = writer.get();
  Created created = create(spec, options);
  start(created);
  writer.reset();
  char line[8] = {};
  ASSERT_EQ(read(reader.get(), line, sizeof line), 6);
  EXPECT_EQ(list_processes(state_dir("one")).size(), 2U);
  kill_container(state_dir("one"), SIGUSR1);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 9);
}

TEST_F(LifecycleTest, WithoutAPidNamespaceNothingSurvivesRemoval) {
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "sleep 1000 & echo $!"});
  std::erase_if(spec.linux_.namespaces,
                [](const auto& each) { return each.type == oci::NamespaceType::kPid; });
  CreateOptions options = make_options();
  Created created = create(spec, options);
  start(created);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 0);
  EXPECT_EQ(list_processes(state_dir("one")).size(), 1U);
  remove(state_dir("one"), RemoveMode::kStoppedOnly);
  for (const std::string& path : created.cgroup_paths) EXPECT_FALSE(fs::exists(path)) << path;
}

TEST_F(LifecycleTest, AnotherProcessStartsIt) {
  const CreateOptions options = make_options();
  create_elsewhere(make_spec({"sh", "-c", "touch /made; sleep 1000"}), options);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kCreated);
  EXPECT_FALSE(fs::exists(home_ / "upper/made"));
  start_by_fifo(state_dir("one"));
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
  for (int i = 0; i < 100 && !fs::exists(home_ / "upper/made"); ++i) usleep(10'000);
  EXPECT_TRUE(fs::exists(home_ / "upper/made"));
  EXPECT_EQ(error_of([&] { start_by_fifo(state_dir("one")); }, ErrorKind::kConflict),
            "container \"one\" is running: only a created one can start");
}

TEST_F(LifecycleTest, AFailedExecveIsToldToTheStarter) {
  base::write_file(home_ / "lower/bin/script", "#!/nope\n", 0755);
  create_elsewhere(make_spec({"script"}), make_options());
  EXPECT_EQ(error_of([&] { start_by_fifo(state_dir("one")); }, ErrorKind::kCommandNotFound),
            "exec script: its interpreter \"/nope\": no such file or directory");
  for (int i = 0; i < 100 && load_state(state_dir("one")).status != Status::kStopped; ++i) {
    usleep(10'000);
  }
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kStopped);
}

TEST_F(LifecycleTest, OfTwoStartersOneWins) {
  create_elsewhere(make_spec({"sleep", "1000"}), make_options());
  std::vector<pid_t> starters;
  for (int i = 0; i < 4; ++i) {
    const pid_t starter = fork();
    if (starter == 0) {
      try {
        start_by_fifo(state_dir("one"));
        _exit(0);
      } catch (const base::Error&) {
        _exit(1);
      }
    }
    starters.push_back(starter);
  }
  int winners = 0;
  for (const pid_t starter : starters) winners += base::wait_for_child(starter) == 0 ? 1 : 0;
  EXPECT_EQ(winners, 1);
}

TEST_F(LifecycleTest, ACreateThatWasKilledIsCleanedByRemove) {
  const CreateOptions options = make_options();
  const oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  // At many moments; whatever is there then, a forced remove leaves nothing.
  for (int delay = 0; delay < 12'000; delay += 500) {
    const pid_t creator = fork();
    if (creator == 0) {
      CreateOptions own = options;
      own.die_with_parent = false;
      try {
        Created created = create(spec, own);
        start(created);
        ::pause();
      } catch (const base::Error&) {
      }
      _exit(1);
    }
    usleep(static_cast<unsigned>(delay));
    kill(creator, SIGKILL);
    base::wait_for_child(creator);
    remove(state_dir("one"), RemoveMode::kForced);
    ASSERT_FALSE(fs::exists(state_dir("one")));
    for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
      const fs::path group = hierarchy.path() / cgroup_parent().substr(1) / "one";
      ASSERT_FALSE(fs::exists(group)) << group << " after " << delay;
    }
  }
}

TEST_F(LifecycleTest, MemoryLimitsKillAndAreReported) {
  oci::RuntimeSpec spec = make_spec({"tail", "-c", "10m", "/dev/zero"});
  fs::create_symlink("busybox", home_ / "lower/bin/tail");
  spec.linux_.resources.memory.limit = 5 << 20;
  spec.linux_.resources.memory.swap = 5 << 20;
  CreateOptions options = make_options();
  Created created = create(spec, options);
  start(created);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 137);
  EXPECT_TRUE(read_oom(created.cgroup_paths).killed);
}

TEST_F(LifecycleTest, LimitsAreUpdated) {
  const Created created = start_sleeper();
  oci::Resources resources;
  resources.pids_limit = 42;
  update(state_dir("one"), resources);
  for (const std::string& path : created.cgroup_paths) {
    const auto limit = base::find_file(path + "/pids.max");
    if (limit) {
      EXPECT_EQ(*limit, "42\n");
    }
  }
}

}  // namespace
}  // namespace runtime
