#include <csignal>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;
using ExecTest = ContainerTest;

TEST_F(ExecTest, RunsInTheContainerAndReturnsTheExitCode) {
  const Created created = start_sleeper();
  EXPECT_EQ(exec_in("one", {"sh", "-c", "hostname; exit 7"}).output, "boat\n");
  EXPECT_EQ(exec_in("one", {"sh", "-c", "exit 7"}).exit_code, 7);
  EXPECT_EQ(exec_in("one", {"readlink", "/proc/1/exe"}).output, "/bin/busybox\n");
}

TEST_F(ExecTest, SharesEveryNamespace) {
  const Created created = start_sleeper();
  for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
    const std::string path = std::string("/ns/") + name;
    const std::string init = fs::read_symlink("/proc/" + std::to_string(created.init.pid) + path);
    EXPECT_EQ(exec_in("one", {"readlink", "/proc/self" + path}).output, init + "\n");
  }
}

TEST_F(ExecTest, JoinsTheCgroups) {
  const Created created = start_sleeper();
  const std::string own = exec_in("one", {"cat", "/proc/self/cgroup"}).output;
  const std::string init = exec_in("one", {"cat", "/proc/1/cgroup"}).output;
  EXPECT_EQ(own, init);
}

TEST_F(ExecTest, HasTheContainersRestrictions) {
  const Created created = start_sleeper();
  const Outcome own =
      exec_in("one", {"grep", "-E", "^(Cap|Seccomp:|NoNewPrivs)", "/proc/self/status"});
  const Outcome init =
      exec_in("one", {"grep", "-E", "^(Cap|Seccomp:|NoNewPrivs)", "/proc/1/status"});
  EXPECT_EQ(own.output, init.output);
  EXPECT_NE(own.output.find("Seccomp:\t2"), std::string::npos) << own.output;
}

TEST_F(ExecTest, TakesUserDirectoryAndEnvironment) {
  const Created created = start_sleeper();
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "id -u; id -G; pwd; echo $FRUIT; umask"});
  spec.process->user = {.uid = 1000, .gid = 100, .umask = 0077, .additional_gids = {5, 6}};
  spec.process->cwd = "/tmp";
  spec.process->env.push_back("FRUIT=fig");
  EXPECT_EQ(exec_in("one", spec, *spec.process).output, "1000\n100 5 6\n/tmp\nfig\n0077\n");
}

TEST_F(ExecTest, OneThatIsMissingSaysSo) {
  const Created created = start_sleeper();
  EXPECT_EQ(error_of([&] { exec_in("one", {"nope"}); }, ErrorKind::kCommandNotFound),
            "exec: \"nope\": executable file not found in $PATH");
  EXPECT_EQ(error_of([&] { exec_in("one", {"/etc/passwd"}); }, ErrorKind::kCommandNotRunnable),
            "exec: \"/etc/passwd\": permission denied");
}

TEST_F(ExecTest, IsAChildOfTheCallerInTheContainersPidNamespace) {
  const Created created = start_sleeper();
  const oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  const Executed executed = exec(state_dir("one"), spec, *spec.process, {});
  const std::string stat =
      base::read_file("/proc/" + std::to_string(executed.process.pid) + "/stat");
  const std::size_t fields = stat.rfind(')');
  EXPECT_EQ(stat.substr(fields + 4, std::to_string(getpid()).size()), std::to_string(getpid()))
      << stat;
  kill(executed.process.pid, SIGKILL);
  EXPECT_EQ(base::wait_for_child(executed.process.pid), 137);
}

TEST_F(ExecTest, NotIntoAContainerThatHasEnded) {
  const Created created = start_sleeper();
  kill(created.init.pid, SIGKILL);
  base::wait_for_child(created.init.pid);
  EXPECT_EQ(error_of([&] { exec_in("one", {"true"}); }, ErrorKind::kConflict),
            "cannot exec in a stopped container");
}

TEST_F(ExecTest, WorksUnderAFilterThatRefusesClone) {
  for (const char* action : {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"}) {
    const Created created = start_sleeper();
    oci::RuntimeSpec spec = make_spec({"echo", "born"});
    oci::Seccomp filter{.default_action = "SCMP_ACT_ALLOW"};
    filter.syscalls = {{.names = {"clone", "clone3", "fork", "vfork"}, .action = action}};
    spec.linux_.seccomp = filter;
    const Outcome outcome = exec_in("one", spec, *spec.process);
    EXPECT_EQ(outcome.output, "born\n");
    EXPECT_EQ(outcome.exit_code, 0);
    remove(state_dir("one"), RemoveMode::kForced);
  }
}

// What was kept of the program for a failed execve is no reason of any other step.
TEST_F(ExecTest, AFailureBeforeTheExecveShowsNothingOfTheProgram) {
  oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  spec.linux_.resources.pids_limit = 1;
  spec.linux_.seccomp.reset();
  Created created = create(spec, make_options());
  start(created);
  const std::string error = error_of([&] { exec_in("one", spec, *make_spec({"true"}).process); });
  EXPECT_NE(error.find("Resource temporarily unavailable"), std::string::npos) << error;
  EXPECT_EQ(error.find("ELF"), std::string::npos) << error;
}

TEST_F(ExecTest, MeetsThePidsLimit) {
  oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  spec.linux_.resources.pids_limit = 1;
  Created created = create(spec, make_options());
  start(created);
  EXPECT_NE(error_of([&] { exec_in("one", {"true"}); }).find("Resource temporarily unavailable"),
            std::string::npos);
}

TEST_F(ExecTest, GetsATerminal) {
  const Created created = start_sleeper();
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "tty; stty size; test -t 0 && echo yes"});
  spec.process->terminal = true;
  spec.process->console_size = oci::ConsoleSize{.height = 33, .width = 77};
  const Executed executed = exec(state_dir("one"), spec, *spec.process, {});
  ASSERT_TRUE(executed.console);
  EXPECT_EQ(base::wait_for_child(executed.process.pid), 0);
  char buffer[256] = {};
  ASSERT_GT(read(executed.console.get(), buffer, sizeof buffer - 1), 0);
  EXPECT_STREQ(buffer, "/dev/pts/0\r\n33 77\r\nyes\r\n");
}

}  // namespace
}  // namespace runtime
