// What sampan-registry can still do once it has closed its sandbox.
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/registry/sandbox.h"
#include "tests/engine/pull_support.h"

namespace engine_test {
namespace {

namespace fs = std::filesystem;

// The errno with which `action` fails in a process that is in the sandbox; 0 where it works.
template <class Action>
int result_of(Action action) {
  int ends[2];
  base::check(pipe2(ends, O_CLOEXEC), "pipe2");
  const pid_t pid = fork();
  if (pid == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    try {
      cli::enter_sandbox({});
    } catch (...) {
      _exit(2);
    }
    errno = 0;
    const int error = action() < 0 ? errno : 0;
    _exit(write(ends[1], &error, sizeof error) == sizeof error ? 0 : 3);
  }
  close(ends[1]);
  int error = -1;
  EXPECT_EQ(read(ends[0], &error, sizeof error), static_cast<ssize_t>(sizeof error));
  close(ends[0]);
  EXPECT_EQ(base::wait_for_child(pid), 0);
  return error;
}

TEST(RegistrySandbox, LeavesWhatAClientOfSocketsNeeds) {
  EXPECT_EQ(result_of([] { return socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(result_of([] { return socket(AF_INET6, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(result_of([] { return open("/etc/hosts", O_RDONLY | O_CLOEXEC); }), 0);
  EXPECT_EQ(result_of([] {
              int value = 0;
              std::thread([&] { value = 1; }).join();
              return value - 1;
            }),
            0);
}

TEST(RegistrySandbox, OpensNothingForWriting) {
  const TempDir folder;
  const fs::path path = folder.path() / "file";
  fs::permissions(folder.path(), fs::perms::all);
  base::write_file(path, "content", 0666);
  for (const int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_CREAT, O_RDONLY | O_TRUNC,
                          O_RDONLY | O_CREAT, O_RDWR | O_TMPFILE}) {
    EXPECT_EQ(result_of([&] {
                return open((flags & O_TMPFILE) == O_TMPFILE ? folder.path().c_str() : path.c_str(),
                            flags | O_CLOEXEC, 0600);
              }),
              EPERM)
        << flags;
  }
  EXPECT_EQ(result_of([&] { return unlink(path.c_str()); }), EPERM);
  EXPECT_EQ(result_of([&] { return mkdir((folder.path() / "new").c_str(), 0700); }), EPERM);
  EXPECT_EQ(result_of([&] { return rename(path.c_str(), (path.string() + "2").c_str()); }), EPERM);
  EXPECT_EQ(result_of([&] { return chmod(path.c_str(), 0777); }), EPERM);
  EXPECT_EQ(base::read_file(path), "content");
}

TEST(RegistrySandbox, WritesNoByteIntoAFileThatItHasOpen) {
  const TempDir folder;
  const fs::path path = folder.path() / "file";
  const base::UniqueFd fd = base::open_file(path, O_RDWR | O_CREAT, 0600);
  EXPECT_EQ(result_of([&] { return static_cast<int>(write(fd.get(), "x", 1)); }), EFBIG);
  EXPECT_EQ(result_of([&] { return ftruncate(fd.get(), 10); }), EPERM);
  EXPECT_EQ(fs::file_size(path), 0U);
}

// A kernel without Landlock leaves it to the file's mode.
TEST(RegistrySandbox, SeesNothingOfTheStore) {
  const TempDir folder;
  fs::permissions(folder.path(), fs::perms::owner_all);
  base::write_file(folder.path() / "file", "content", 0600);
  if (geteuid() != 0 && syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) < 0) {
    GTEST_SKIP() << "neither root nor Landlock";
  }
  EXPECT_EQ(result_of([&] { return open((folder.path() / "file").c_str(), O_RDONLY); }), EACCES);
}

TEST(RegistrySandbox, StartsAndTouchesNoOtherProcess) {
  char word[] = "/bin/true";
  char* const arguments[] = {word, nullptr};
  const pid_t parent = getpid();
  EXPECT_EQ(result_of([&] { return execv("/bin/true", arguments); }), EPERM);
  EXPECT_EQ(result_of([] { return static_cast<int>(syscall(SYS_fork)); }), EPERM);
  EXPECT_EQ(result_of([] { return static_cast<int>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }),
            EPERM);
  EXPECT_EQ(result_of([&] { return kill(parent, 0); }), EPERM);
  EXPECT_EQ(
      result_of([&] { return static_cast<int>(syscall(SYS_tgkill, parent, parent, SIGKILL)); }),
      EPERM);
  EXPECT_EQ(result_of([&] { return static_cast<int>(ptrace(PTRACE_ATTACH, parent, 0, 0)); }),
            EPERM);
  EXPECT_EQ(result_of([&] { return static_cast<int>(syscall(SYS_pidfd_open, parent, 0)); }), EPERM);
  EXPECT_EQ(result_of([&] {
              return static_cast<int>(syscall(SYS_process_vm_writev, parent, 0, 0, 0, 0, 0));
            }),
            EPERM);
}

TEST(RegistrySandbox, ChangesNothingOfTheMachine) {
  EXPECT_EQ(result_of([] { return mount("none", "/tmp", "tmpfs", 0, nullptr); }), EPERM);
  EXPECT_EQ(result_of([] { return unshare(CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(result_of([] { return setuid(0); }), EPERM);
  EXPECT_EQ(result_of([] { return static_cast<int>(syscall(SYS_bpf, 0, 0, 0)); }), EPERM);
  EXPECT_EQ(result_of([] { return static_cast<int>(syscall(SYS_keyctl, 0, 0, 0)); }), EPERM);
  EXPECT_EQ(result_of([] { return static_cast<int>(syscall(SYS_io_uring_setup, 1, 0)); }), EPERM);
  EXPECT_EQ(result_of([] { return socket(AF_UNIX, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(result_of([] { return socket(AF_PACKET, SOCK_RAW, 0); }), EPERM);
  EXPECT_EQ(result_of([] { return socket(AF_ALG, SOCK_SEQPACKET, 0); }), EPERM);
  EXPECT_EQ(result_of([] {
              void* const memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return memory == MAP_FAILED ? -1 : 0;
            }),
            EPERM);
}

// The program itself, before any call.
TEST(RegistrySandbox, IsClosedBeforeTheFirstCall) {
  const Layer layer = Layer::gzip(make_tar(1, 5, 1000));
  Json spec = Json::object();
  spec["repositories"]["a"] = make_image({.layers = {layer}}).as_repository();
  FakeRegistry& fake = FakeRegistry::shared();
  fake.set(spec);
  engine::RegistryProcess process(registry_program());
  process.client().find_digest(registry_test::reference_to(fake));  // by now it is closed
  const std::string status = base::read_file("/proc/" + std::to_string(process.pid()) + "/status");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_THAT(status, testing::HasSubstr(std::string(set) + ":\t0000000000000000"));
  }
  EXPECT_THAT(status, testing::HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, testing::HasSubstr("Seccomp:\t2"));
  if (geteuid() != 0) return;
  EXPECT_THAT(status, testing::HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(status, testing::HasSubstr("Uid:\t65534\t65534\t65534\t65534"));
  EXPECT_THAT(status, testing::HasSubstr("Gid:\t65534\t65534\t65534\t65534"));
}

}  // namespace
}  // namespace engine_test
