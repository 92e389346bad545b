#include <csignal>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;
using RunTest = ContainerTest;

TEST_F(RunTest, ExitCodesAreTheProgramsOwn) {
  EXPECT_EQ(run({"true"}).exit_code, 0);
  EXPECT_EQ(run({"false"}).exit_code, 1);
  EXPECT_EQ(sh("exit 42").exit_code, 42);
}

TEST_F(RunTest, HasNamespacesOfItsOwn) {
  const Outcome outcome = sh("hostname; echo $$; ip -o link | wc -l");
  EXPECT_EQ(outcome.output, "boat\n1\n1\n");
}

TEST_F(RunTest, LeavesNothingBehind) {
  const std::string mounts = base::read_file("/proc/self/mountinfo");
  run({"true"});
  EXPECT_EQ(base::read_file("/proc/self/mountinfo"), mounts);
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

TEST_F(RunTest, WritesGoToTheUpperDirectory) {
  EXPECT_EQ(sh("echo new > /etc/passwd; echo x > /made").exit_code, 0);
  EXPECT_EQ(base::read_file(home_ / "upper/etc/passwd"), "new\n");
  EXPECT_EQ(base::read_file(home_ / "lower/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  EXPECT_TRUE(fs::exists(home_ / "upper/made"));
}

TEST_F(RunTest, AReadOnlyRootRefusesWriting) {
  oci::RuntimeSpec spec =
      make_spec({"sh", "-c", "echo x > /made; echo y > /dev/shm/made && cat /dev/shm/made"});
  spec.root.readonly = true;
  const Outcome outcome = run(spec, make_options());
  EXPECT_EQ(outcome.output, "sh: can't create /made: Read-only file system\ny\n");
}

TEST_F(RunTest, ALayerAloneIsBoundReadOnly) {
  for (const char* folder : {"proc", "dev", "sys"}) fs::create_directory(home_ / "lower" / folder);
  CreateOptions options = make_options();
  options.overlay = RootOverlay{.lower = {home_ / "lower"}, .upper = {}, .work = {}};
  const Outcome outcome = run(make_spec({"sh", "-c", "touch /made"}), options);
  EXPECT_NE(outcome.output.find("Read-only file system"), std::string::npos) << outcome.output;
  EXPECT_FALSE(fs::exists(home_ / "lower/made"));
}

TEST_F(RunTest, APlainBundleIsBound) {
  make_rootfs(home_ / "bundle/rootfs");
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "echo x > /made; ls /"});
  spec.root.path = "rootfs";
  CreateOptions options = make_options();
  options.overlay.reset();
  const Outcome outcome = run(spec, options);
  EXPECT_EQ(outcome.output, "bin\ndev\netc\nmade\nproc\nsys\ntmp\n");
  EXPECT_TRUE(fs::exists(home_ / "bundle/rootfs/made"));
}

TEST_F(RunTest, VolatileLeavesItsMark) {
  CreateOptions options = make_options();
  options.overlay->syncing = RootOverlay::Syncing::kVolatile;
  EXPECT_EQ(run(make_spec({"true"}), options).exit_code, 0);
  EXPECT_TRUE(fs::exists(home_ / "work/work/incompat/volatile"));
}

TEST_F(RunTest, ManyLayersMount) {
  CreateOptions options = make_options();
  options.overlay->lower.clear();
  for (int i = 0; i < 150; ++i) {
    const fs::path layer = home_ / ("layer" + std::to_string(i));
    fs::create_directory(layer);
    base::write_file(layer / ("file" + std::to_string(i)), "");
    options.overlay->lower.push_back(layer);
  }
  options.overlay->lower.push_back(home_ / "lower");
  EXPECT_EQ(run(make_spec({"sh", "-c", "ls /file* | wc -l"}), options).output, "150\n");
}

TEST_F(RunTest, DevicesAreDockers) {
  EXPECT_EQ(sh("ls /dev").output,
            "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\n"
            "urandom\nzero\n");
  EXPECT_EQ(sh("stat -c '%a %t:%T' /dev/null /dev/urandom /dev/tty; echo x > /dev/null").output,
            "666 1:3\n666 1:9\n666 5:0\n");
}

TEST_F(RunTest, KernelFilesAreHiddenOrReadOnly) {
  const Outcome outcome = sh(
      "cat /proc/keys /proc/timer_list | wc -c; ls -A /proc/acpi /sys/firmware | grep -v : | wc -w;"
      "echo x > /proc/sys/kernel/domainname; echo 1 > /proc/irq/default_smp_affinity; touch /sys/x;"
      "touch /proc/acpi/x; chmod 600 /proc/keys");
  EXPECT_EQ(outcome.output,
            "0\n0\n"
            "sh: can't create /proc/sys/kernel/domainname: Read-only file system\n"
            "sh: can't create /proc/irq/default_smp_affinity: Read-only file system\n"
            "touch: /sys/x: Read-only file system\n"
            "touch: /proc/acpi/x: Read-only file system\n"
            "chmod: /proc/keys: Read-only file system\n");
}

TEST_F(RunTest, UserGroupsAndUmask) {
  oci::RuntimeSpec spec =
      make_spec({"sh", "-c", "id -u; id -g; id -G; umask; grep CapEff /proc/self/status"});
  spec.process->user = {.uid = 1000, .gid = 100, .umask = 0027, .additional_gids = {5, 7}};
  EXPECT_EQ(run(spec, make_options()).output,
            "1000\n100\n100 5 7\n0027\nCapEff:\t0000000000000000\n");
}

TEST_F(RunTest, CapabilitiesAreTheSpecs) {
  const Outcome outcome = sh("grep Cap /proc/self/status");
  EXPECT_EQ(outcome.output,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
}

TEST_F(RunTest, AmbientCapabilitiesReachAPlainUser) {
  oci::RuntimeSpec spec = make_spec({"grep", "CapEff", "/proc/self/status"});
  spec.process->user = {.uid = 1000, .gid = 1000};
  auto& sets = *spec.process->capabilities;
  sets.inheritable = sets.ambient = {"CAP_NET_BIND_SERVICE"};
  EXPECT_EQ(run(spec, make_options()).output, "CapEff:\t0000000000000400\n");
}

TEST_F(RunTest, NoNewPrivilegesAndFilter) {
  oci::RuntimeSpec spec = make_spec({"grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"});
  EXPECT_EQ(run(spec, make_options()).output, "NoNewPrivs:\t0\nSeccomp:\t2\n");
  spec.process->no_new_privileges = true;
  EXPECT_EQ(run(spec, make_options()).output, "NoNewPrivs:\t1\nSeccomp:\t2\n");
  spec.linux_.seccomp.reset();
  EXPECT_EQ(run(spec, make_options()).output, "NoNewPrivs:\t1\nSeccomp:\t0\n");
}

TEST_F(RunTest, LimitsAreSetOrClamped) {
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c"});
  spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 200, .hard = 300},
                           {.type = "RLIMIT_CORE", .soft = 0, .hard = ~0ULL}};
  EXPECT_EQ(run(spec, make_options()).output, "200\n300\n0\n");
  spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 1U << 30U, .hard = 1U << 30U}};
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
}

TEST_F(RunTest, SysctlsOfItsNamespaces) {
  oci::RuntimeSpec spec =
      make_spec({"cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced"});
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}};
  EXPECT_EQ(run(spec, make_options()).output, "1\n1\n");
}

TEST_F(RunTest, AnEmptySysctlChangesNothing) {
  oci::RuntimeSpec spec = make_spec({"cat", "/proc/sys/net/core/somaxconn"});
  spec.linux_.sysctl = {{"net.core.somaxconn", ""}};
  EXPECT_EQ(run(spec, make_options()).output, "4096\n");
}

TEST_F(RunTest, SysctlsAreWrittenWhateverTheSpecsProcfsIs) {
  oci::RuntimeSpec spec = make_spec({"ip", "-o", "route", "show", "table", "all"});
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
  spec.process->args = {"cat", "/mnt/sys/net/ipv4/ip_forward"};
  fs::create_directories(home_ / "lower/mnt");
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"ro"}, {"subset=pid"}, {"nosuid"}}) {
    spec.mounts.clear();
    spec.mounts.push_back({"/proc", "proc", "proc", options});
    spec.mounts.push_back({"/mnt", "proc", "proc", {}});
    EXPECT_EQ(run(spec, make_options()).output, "1\n") << options.front();
  }
  spec.mounts.erase(spec.mounts.begin());
  spec.linux_.masked_paths.clear();
  EXPECT_EQ(run(spec, make_options()).output, "1\n");
}

// A signal that is ignored stays so over execve(2), but it is ours that were ignored.
TEST_F(RunTest, NoSignalIsIgnoredAndNoneBlocked) {
  for (const int signal : {SIGINT, SIGPIPE, SIGRTMIN + 3}) ::signal(signal, SIG_IGN);
  const Outcome outcome = run({"grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"});
  for (const int signal : {SIGINT, SIGPIPE, SIGRTMIN + 3}) ::signal(signal, SIG_DFL);
  EXPECT_EQ(outcome.output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(RunTest, MountsOfTheSpec) {
  fs::create_directory(home_ / "data");
  base::write_file(home_ / "data/file", "content");
  oci::RuntimeSpec spec = make_spec(
      {"sh", "-c", "cat /mnt/deep/file /etc/one; touch /mnt/deep/x; stat -c %a /tmp /run/t"});
  spec.mounts.push_back({"/mnt/deep", "bind", home_ / "data", {"rbind", "ro"}});
  spec.mounts.push_back({"/etc/one", "bind", home_ / "data/file", {"bind"}});
  spec.mounts.push_back({"/tmp", "tmpfs", "tmpfs", {"size=1m"}});
  spec.mounts.push_back({"/run/t", "tmpfs", "tmpfs", {"mode=700"}});
  EXPECT_EQ(run(spec, make_options()).output,
            "contentcontenttouch: /mnt/deep/x: Read-only file system\n1777\n700\n");
}

TEST_F(RunTest, TheCgroupMountShowsItsOwnGroups) {
  const Outcome outcome =
      sh("ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/cgroup.procs 2>/dev/null | "
         "head -1; mkdir /sys/fs/cgroup/memory/x; cat /proc/self/cgroup | grep memory");
  EXPECT_NE(outcome.output.find("memory\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("\n1\n"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("Read-only file system"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("memory:/\n"), std::string::npos) << outcome.output;
}

TEST_F(RunTest, TheNetworkIsConfiguredFromOutside) {
  CreateOptions options = make_options();
  pid_t seen = 0;
  options.configure_network = [&](pid_t pid, int netns_fd) {
    struct stat ours = {};
    struct stat theirs = {};
    fstat(netns_fd, &theirs);
    stat("/proc/self/ns/net", &ours);
    EXPECT_NE(ours.st_ino, theirs.st_ino);
    seen = pid;
  };
  EXPECT_EQ(run(make_spec({"true"}), options).exit_code, 0);
  EXPECT_GT(seen, 0);
  options.configure_network = [](pid_t, int) {
    throw base::Error(ErrorKind::kConflict, "no more addresses");
  };
  EXPECT_EQ(error_of([&] { run(make_spec({"true"}), options); }, ErrorKind::kConflict),
            "no more addresses");
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

TEST_F(RunTest, ATerminalIsTheConsole) {
  oci::RuntimeSpec spec =
      make_spec({"sh", "-c", "tty; stty size; echo hello > /dev/console; stat -c %t /dev/console"});
  spec.process->terminal = true;
  spec.process->console_size = oci::ConsoleSize{.height = 24, .width = 80};
  Created created = create(spec, make_options());
  ASSERT_TRUE(created.console);
  start(created);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 0);
  EXPECT_EQ(read_console(created.console.get()), "/dev/pts/0\r\n24 80\r\nhello\r\n88\r\n");
}

TEST_F(RunTest, AConsoleSocketGetsTheTerminal) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const base::UniqueFd ours(ends[0]);
  const base::UniqueFd theirs(ends[1]);
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->terminal = true;
  CreateOptions options = make_options();
  options.console_socket = theirs.get();
  const Created created = create(spec, options);
  EXPECT_FALSE(created.console);
  char name[64] = {};
  EXPECT_GT(recv(ours.get(), name, sizeof name, 0), 0);
}

TEST_F(RunTest, PreservedDescriptorsArePassedOnAndNoOthers) {
  // Numbers 3 and 4 are ours to give.
  const base::UniqueFd file = base::open_file(home_ / "lower/etc/passwd", O_RDONLY);
  ASSERT_GE(dup2(file.get(), 3), 0);
  ASSERT_GE(dup2(file.get(), 4), 0);
  CreateOptions options = make_options();
  options.preserve_fds = 1;
  const Outcome outcome =
      run(make_spec({"sh", "-c", "ls -1 /proc/self/fd | wc -l; head -c 4 <&3"}), options);
  EXPECT_EQ(outcome.output, "5\nroot");  // 0, 1, 2, 3 and the directory itself
  close(4);
  close(3);
  options.preserve_fds = 60;
  EXPECT_NE(error_of([&] { run(make_spec({"true"}), options); }, ErrorKind::kInvalid)
                .find(" is to be preserved and is not open"),
            std::string::npos);
}

TEST_F(RunTest, WorksOnOlderKernelsOverlay) {
  // Longer than one fsconfig(2) string: the way of kernels before 6.8.
  fs::path deep = home_;
  for (int i = 0; i < 5; ++i) deep /= std::string(60, static_cast<char>('a' + i));
  fs::create_directories(deep.parent_path());
  fs::rename(home_ / "lower", deep);
  CreateOptions options = make_options();
  options.overlay->lower = {home_ / "empty", deep};
  EXPECT_EQ(run(make_spec({"sh", "-c", "echo x > /made; cat /etc/passwd"}), options).output,
            "root:x:0:0:root:/root:/bin/sh\n");
  EXPECT_TRUE(fs::exists(home_ / "upper/made"));
  const std::string mounts = base::read_file("/proc/self/mountinfo");
  EXPECT_EQ(mounts.find(home_), std::string::npos);
}

}  // namespace
}  // namespace runtime
