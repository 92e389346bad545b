#include "base/process.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace {

using base::SpawnOptions;

struct Pipe {
  Pipe() {
    int ends[2];
    base::check(pipe2(ends, O_CLOEXEC), "pipe2");
    out = base::UniqueFd(ends[0]);
    in = base::UniqueFd(ends[1]);
  }
  base::UniqueFd out, in;
};

SpawnOptions shell(const std::string& script) {
  return {.program = "/bin/sh", .arguments = {"sh", "-c", script}};
}

// What the script writes to descriptor 1.
std::string output_of(SpawnOptions options) {
  Pipe pipe;
  options.descriptors.push_back({.ours = pipe.in.get(), .theirs = 1});
  const pid_t pid = base::spawn(options);
  pipe.in.reset();
  std::string output = base::read_fd(pipe.out.get());
  EXPECT_EQ(base::wait_for_child(pid), 0) << output;
  return output;
}

TEST(Spawn, GivesArgumentsAndEnvironment) {
  SpawnOptions options = shell("echo \"$0 $1 $NAME ${HOME-unset}\"");
  options.arguments.insert(options.arguments.end(), {"zero", "one two"});
  options.environment = {"NAME=value"};
  EXPECT_EQ(output_of(options), "zero one two value unset\n");
  setenv("SAMPAN_TEST", "inherited", 1);
  EXPECT_EQ(output_of(shell("echo $SAMPAN_TEST")), "inherited\n");
}

TEST(Spawn, ReportsExitCodesAndSignals) {
  EXPECT_EQ(base::wait_for_child(base::spawn(shell("exit 7"))), 7);
  EXPECT_EQ(base::wait_for_child(base::spawn(shell("kill -9 $$"))), 137);
}

TEST(Spawn, ThrowsWhereTheProgramCannotBeExecuted) {
  for (const char* program : {"/nonexistent", "/etc/passwd", "/"}) {
    EXPECT_THROW(base::spawn({.program = program, .arguments = {"x"}}), base::Error) << program;
  }
  try {
    base::spawn({.program = "/nonexistent", .arguments = {"x"}});
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kNotFound);
    EXPECT_STREQ(error.what(), "execute /nonexistent: No such file or directory");
  }
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // no zombie stays behind
}

TEST(Spawn, ClosesEverythingThatIsNotMapped) {
  const base::UniqueFd leaked(open("/dev/null", O_RDONLY));  // not close-on-exec
  EXPECT_EQ(output_of(shell("ls /proc/$$/fd")), "1\n");
}

TEST(Spawn, MapsDescriptorsOverEachOther) {
  Pipe first, second;
  base::write_all(first.in.get(), "first");
  base::write_all(second.in.get(), "second");
  first.in.reset();
  second.in.reset();
  // Each goes where the other is, and both at 0 and 5 too.
  SpawnOptions options = shell("cat <&" + std::to_string(second.out.get()) + "; cat <&" +
                               std::to_string(first.out.get()));
  options.descriptors = {{.ours = first.out.get(), .theirs = second.out.get()},
                         {.ours = second.out.get(), .theirs = first.out.get()},
                         {.ours = -1, .theirs = 0},
                         {.ours = -1, .theirs = 2}};
  EXPECT_EQ(output_of(options), "firstsecond");
}

// The lowest free descriptor, where /dev/null is opened, may be just the place it is meant for.
TEST(Spawn, NullMayLandOnItsPlace) {
  std::vector<base::UniqueFd> dense;
  for (int i = 0; i < 40; ++i) dense.push_back(base::open_file("/dev/null", O_RDONLY));
  for (std::size_t used = 1; used < dense.size(); ++used) {
    SpawnOptions options = shell("exit 0");
    options.descriptors = {{.ours = -1, .theirs = 0},
                           {.ours = dense[used].get(), .theirs = 1},
                           {.ours = -1, .theirs = 2}};
    EXPECT_EQ(base::wait_for_child(base::spawn(options)), 0);
  }
}

TEST(Spawn, ExecutesByDescriptor) {
  const base::UniqueFd program = base::open_file("/bin/sh", O_PATH);
  EXPECT_EQ(output_of({.program_fd = program.get(), .arguments = {"sh", "-c", "echo hello"}}),
            "hello\n");
}

TEST(Spawn, ResetsSignalsAndMakesASession) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  std::signal(SIGUSR1, SIG_IGN);
  SpawnOptions options = shell(
      "grep -E 'Sig(Blk|Ign)' /proc/self/status; "
      "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader");
  options.new_session = true;
  const std::string output = output_of(options);
  std::signal(SIGUSR1, SIG_DFL);
  sigset_t after;
  sigprocmask(SIG_SETMASK, &before, &after);
  EXPECT_EQ(sigismember(&after, SIGTERM), 1);  // ours is as it was
  EXPECT_EQ(output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nleader\n");
}

TEST(ProcessId, SurvivesReuseOfThePid) {
  const auto self = base::find_process(getpid());
  ASSERT_TRUE(self);
  EXPECT_GT(self->start_time, 0U);
  EXPECT_EQ(*self, *base::find_process(getpid()));
  EXPECT_TRUE(base::open_process(*self));
  EXPECT_FALSE(base::open_process({.pid = getpid(), .start_time = self->start_time + 1}));
  EXPECT_FALSE(base::open_process({}));
  EXPECT_FALSE(base::open_process({.pid = -1}));
  EXPECT_FALSE(base::find_process(0x7FFFFFFF));
}

TEST(ProcessId, IsFoundBehindAnyName) {
  Pipe gate;
  // The name field of /proc/<pid>/stat becomes ") 1 2 (".
  SpawnOptions options = shell("printf ') 1 2 (' > /proc/$$/comm; echo; read line <&3");
  Pipe ready;
  options.descriptors = {{.ours = ready.in.get(), .theirs = 1},
                         {.ours = gate.out.get(), .theirs = 3}};
  const pid_t pid = base::spawn(options);
  char byte = 0;
  ASSERT_EQ(read(ready.out.get(), &byte, 1), 1);
  const auto self = base::find_process(getpid());
  const auto named = base::find_process(pid);
  ASSERT_TRUE(named);
  EXPECT_GE(named->start_time, self->start_time);
  EXPECT_LT(named->start_time, self->start_time + 100'000);
  gate.in.reset();
  base::wait_for_child(pid);
  EXPECT_FALSE(base::find_process(pid));
}

TEST(Process, IsWaitedForBySignalAndTime) {
  Pipe gate;
  SpawnOptions options = shell("read line");
  options.descriptors = {{.ours = gate.out.get(), .theirs = 0}};
  const pid_t pid = base::spawn(options);
  const auto fd = base::open_process(*base::find_process(pid));
  ASSERT_TRUE(fd);
  EXPECT_FALSE(base::has_exited(fd->get()));
  EXPECT_FALSE(base::wait_for_exit(fd->get(), 20));
  EXPECT_TRUE(base::send_signal(fd->get(), 0));
  EXPECT_TRUE(base::send_signal(fd->get(), SIGKILL));
  EXPECT_TRUE(base::wait_for_exit(fd->get(), -1));
  EXPECT_TRUE(base::has_exited(fd->get()));
  EXPECT_TRUE(base::find_process(pid));  // a zombie counts as live
  EXPECT_EQ(base::wait_for_child(pid), 137);
  EXPECT_FALSE(base::send_signal(fd->get(), SIGKILL));
  EXPECT_FALSE(base::find_process(pid));
}

// Reading /proc/<pid>/stat while the process is reaped must not be an error.
TEST(ProcessId, ADyingProcessIsNoError) {
  for (int round = 0; round < 50; ++round) {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    const pid_t reaper = pid;
    EXPECT_NO_THROW({
      for (int i = 0; i < 20; ++i) base::find_process(pid);
    });
    base::wait_for_child(reaper);
    EXPECT_FALSE(base::find_process(pid));
  }
}

TEST(Process, KnowsTheBoot) {
  EXPECT_EQ(base::boot_id().size(), 36U);
  EXPECT_EQ(base::boot_id(), base::boot_id());
}

TEST(Process, OpensItselfWithoutAWayToWrite) {
  const base::UniqueFd self = base::open_self_read_only();
  const std::string path = "/proc/self/fd/" + std::to_string(self.get());
  EXPECT_EQ(base::read_fd(base::open_file(path, O_RDONLY).get(), 1U << 30U).substr(1, 3), "ELF");
  EXPECT_FALSE(base::UniqueFd(open(path.c_str(), O_WRONLY | O_CLOEXEC)));
  EXPECT_EQ(fcntl(self.get(), F_GETFD), FD_CLOEXEC);
}

}  // namespace
