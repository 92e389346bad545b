// run(): create() and start() in one, without a stop at the gate.
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;

class RunAtOnceTest : public ContainerTest {
 protected:
  bool is_gone(const std::string& id) const { return !fs::exists(state_dir(id)); }
};

TEST_F(RunAtOnceTest, TheProgramRunsWhenItReturns) {
  const Created created = runtime::run(make_spec({"sleep", "1000"}), make_options());
  EXPECT_FALSE(created.gate);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
  EXPECT_EQ(exec_in("one", {"cat", "/proc/1/comm"}).output, "sleep\n");
  EXPECT_EQ(error_of([&] { start_by_fifo(state_dir("one")); }, ErrorKind::kConflict),
            "container \"one\" is running: only a created one can start");
}

TEST_F(RunAtOnceTest, AProgramThatCanNotRunLeavesNothing) {
  const auto error = [&](const std::string& program, ErrorKind kind) {
    const std::string text =
        error_of([&] { runtime::run(make_spec({program}), make_options()); }, kind);
    EXPECT_TRUE(is_gone("one")) << program;
    return text;
  };
  // Before the gate and, for the kernel's own verdict, after it.
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(error("/bin/nosuch", ErrorKind::kCommandNotFound), "");
  }
  base::write_file(home_ / "lower/bin/strange",
                   std::string("\x7f"
                               "ELF") +
                       "no program",
                   0755);
  EXPECT_NE(error("/bin/strange", ErrorKind::kCommandNotRunnable), "");
}

TEST_F(RunAtOnceTest, OneOfThatNameIsNotTouched) {
  const Created first = start_sleeper();
  EXPECT_NE(
      error_of([&] { runtime::run(make_spec({"true"}), make_options()); }, ErrorKind::kConflict),
      "");
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
}

TEST_F(RunAtOnceTest, HooksHaveTheirTurn) {
  base::write_file(home_ / "hook", "#!/bin/sh\necho $1 >> " + (home_ / "log").string() + "\n",
                   0755);
  oci::RuntimeSpec spec = make_spec({"true"});
  const auto hook = [&](const char* name) {
    return std::vector<oci::Hook>{
        {.path = home_ / "hook", .args = {"hook", name}, .env = {"PATH=/bin"}}};
  };
  spec.hooks.create_runtime = hook("createRuntime");
  spec.hooks.poststart = hook("poststart");
  spec.hooks.poststop = hook("poststop");
  const Created created = runtime::run(spec, make_options());
  EXPECT_EQ(base::wait_for_child(created.init.pid), 0);
  remove(state_dir("one"), RemoveMode::kStoppedOnly);
  EXPECT_EQ(base::read_file(home_ / "log"), "createRuntime\npoststart\npoststop\n");
}

// The parent ends at some point on the way: either the child ends too, or it is on record.
TEST_F(RunAtOnceTest, AKilledParentLeavesNothingThatRemoveDoesNotFind) {
  for (int i = 0; i < 25; ++i) {
    const std::string id = "killed" + std::to_string(i);
    const CreateOptions wanted = make_options(id);
    const pid_t parent = fork();
    if (parent == 0) {
      CreateOptions options = wanted;
      options.die_with_parent = false;
      runtime::run(make_spec({"sleep", "1000"}), options);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(i) * 400);
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    remove(state_dir(id), RemoveMode::kForced);
    EXPECT_TRUE(is_gone(id));
    for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
      EXPECT_FALSE(fs::exists(hierarchy.path() / cgroup_parent().substr(1) / id)) << hierarchy;
    }
  }
}

}  // namespace
}  // namespace runtime
