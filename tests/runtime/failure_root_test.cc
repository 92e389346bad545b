#include <csignal>
#include <sys/prctl.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;
using FailureTest = ContainerTest;

TEST_F(FailureTest, AMissingProgramIsNamedAsDockerDoes) {
  EXPECT_EQ(error_of([&] { run({"nope"}); }, ErrorKind::kCommandNotFound),
            "exec: \"nope\": executable file not found in $PATH");
  EXPECT_EQ(error_of([&] { run({"/nope"}); }, ErrorKind::kCommandNotFound),
            "exec: \"/nope\": stat /nope: no such file or directory");
  EXPECT_EQ(error_of([&] { run({"/etc/passwd"}); }, ErrorKind::kCommandNotRunnable),
            "exec: \"/etc/passwd\": permission denied");
  EXPECT_EQ(error_of([&] { run({"/etc"}); }, ErrorKind::kCommandNotRunnable),
            "exec: \"/etc\": is a directory: permission denied");
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

TEST_F(FailureTest, AMissingInterpreterIsNamed) {
  base::write_file(home_ / "lower/bin/script", "#! /usr/bin/python3 -u\n", 0755);
  EXPECT_EQ(error_of([&] { run({"script"}); }, ErrorKind::kCommandNotFound),
            "exec script: its interpreter \"/usr/bin/python3\": no such file or directory");
}

TEST_F(FailureTest, AMissingLoaderIsNamed) {
  fs::copy_file("/bin/cat", home_ / "lower/bin/dynamic");
  const std::string text = error_of([&] { run({"dynamic"}); }, ErrorKind::kCommandNotFound);
  EXPECT_NE(text.find("its interpreter \"/lib64/ld-linux"), std::string::npos) << text;
}

TEST_F(FailureTest, AProgramOfAnotherMachineIsNamed) {
  std::string program = base::read_file("/bin/busybox").substr(0, 4096);
  program[18] = static_cast<char>(0xb7);  // e_machine: aarch64
  base::write_file(home_ / "lower/bin/foreign", program, 0755);
  EXPECT_EQ(error_of([&] { run({"foreign"}); }, ErrorKind::kCommandNotRunnable).substr(0, 79),
            "exec foreign: exec format error: the program is for aarch64, this machine is x8");
  base::write_file(home_ / "lower/bin/text", "hello\n", 0755);
  EXPECT_EQ(error_of([&] { run({"text"}); }, ErrorKind::kCommandNotRunnable).substr(0, 29),
            "exec text: exec format error:");
}

TEST_F(FailureTest, AFailedStepSaysStepThingAndCause) {
  CreateOptions options = make_options();
  options.overlay->lower.push_back(home_ / "missing");
  const std::string text = error_of([&] { run(make_spec({"true"}), options); });
  EXPECT_NE(text.find("mount overlay on / ("), std::string::npos) << text;
  EXPECT_NE(text.find("No such file or directory"), std::string::npos) << text;
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.mounts.push_back({"/data", "bind", home_ / "nowhere", {"bind"}});
  EXPECT_NE(error_of([&] { run(spec, make_options()); }, ErrorKind::kNotFound)
                .find(", bind " + (home_ / "nowhere").string() + " on /data"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

// The parent works on the child's namespaces while the child fails: whatever of it fails too, and
// whenever, what is told is why the child did.
TEST_F(FailureTest, TheChildsOwnReasonIsToldNotItsEcho) {
  oci::RuntimeSpec spec = make_spec({"true"});
  for (int i = 0; i < 200; ++i) {
    CreateOptions options = make_options();
    options.overlay->lower.push_back(home_ / "missing");
    options.configure_network = [&](pid_t pid, int) {
      while (access(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), F_OK) == 0) {
      }
      throw base::Error(ErrorKind::kNotFound, "echo");
    };
    const std::string text = error_of([&] { run(spec, options); });
    ASSERT_NE(text.find("mount overlay on / ("), std::string::npos) << i << ": " << text;
  }
}

// With a child that is well it is the other way round.
TEST_F(FailureTest, AFailedNetworkIsToldWhileTheChildIsWell) {
  CreateOptions options = make_options();
  options.configure_network = [&](pid_t, int) {
    throw base::Error(ErrorKind::kConflict, "port 80 is taken");
  };
  EXPECT_EQ(error_of([&] { run(make_spec({"true"}), options); }, ErrorKind::kConflict),
            "port 80 is taken");
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

TEST_F(FailureTest, TooManyArgumentsIsNotRunnable) {
  std::vector<std::string> args = {"true"};
  for (int i = 0; i < 40; ++i) args.emplace_back(120'000, 'x');
  const std::string text = error_of([&] { run(args); }, ErrorKind::kCommandNotRunnable);
  EXPECT_NE(text.find("argument list too long"), std::string::npos) << text;
}

TEST_F(FailureTest, TheSameIdTwiceIsAConflict) {
  const Created created = start_sleeper();
  EXPECT_EQ(error_of([&] { start_sleeper(); }, ErrorKind::kConflict),
            "container \"one\" exists already");
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kRunning);
}

TEST_F(FailureTest, DiesWithItsCreatorBeforeTheStart) {
  const CreateOptions options = make_options();
  const oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  const pid_t creator = fork();
  if (creator == 0) {
    CreateOptions own = options;
    own.die_with_parent = false;
    const Created created = create(spec, own);
    kill(getpid(), SIGKILL);
  }
  base::wait_for_child(creator);
  for (int i = 0; i < 100 && load_state(state_dir("one")).status != Status::kStopped; ++i)
    usleep(10'000);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kStopped);
  remove(state_dir("one"), RemoveMode::kStoppedOnly);
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

TEST_F(FailureTest, DiesWithItsCreatorAfterTheStartWhereAsked) {
  const CreateOptions options = make_options();
  const oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  const pid_t creator = fork();
  if (creator == 0) {
    Created created = create(spec, options);
    start(created);
    kill(getpid(), SIGKILL);
  }
  base::wait_for_child(creator);
  for (int i = 0; i < 100 && load_state(state_dir("one")).status != Status::kStopped; ++i)
    usleep(10'000);
  EXPECT_EQ(load_state(state_dir("one")).status, Status::kStopped);
}

}  // namespace
}  // namespace runtime
