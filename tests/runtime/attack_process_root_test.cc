// More of what was tried against runtimes: the runtime's own binary and descriptors, floods, and
// processes that will not go.
#include <csignal>
#include <fstream>
#include <grp.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/time.h"
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;

class AttackProcessTest : public ContainerTest {
 protected:
  static oci::RuntimeSpec with_capability(oci::RuntimeSpec spec, const std::string& name) {
    auto& sets = *spec.process->capabilities;
    for (auto* list : {&sets.bounding, &sets.effective, &sets.permitted}) {
      list->push_back(name);
    }
    return spec;
  }
};

// CVE-2019-5736: the image's program is a script whose interpreter is the runtime's own binary, and
// a process inside waits to write to it.
TEST_F(AttackProcessTest, TheRuntimesBinaryCanNotBeWritten) {
  const fs::path own = fs::read_symlink("/proc/self/exe");
  const std::string before = base::read_file(own, 64U << 20U);
  std::ofstream(home_ / "lower/bin/evil") << "#!/proc/self/exe\n";
  chmod((home_ / "lower/bin/evil").c_str(), 0755);
  oci::RuntimeSpec spec = with_capability(
      make_spec({"sh", "-c",
                 "while true; do for p in /proc/[0-9]*; do "
                 "case $(readlink $p/exe) in /bin/busybox|'') ;; *) echo x >> $p/exe;; esac; "
                 "done; done 2>/dev/null"}),
      "CAP_SYS_PTRACE");
  const Created created = [&] {
    Created result = create(spec, make_options());
    start(result);
    return result;
  }();
  for (int i = 0; i < 10; ++i) {
    error_of([&] { exec_in("one", {"/bin/evil"}); });
    error_of([&] { exec_in("one", {"true"}); });
  }
  EXPECT_EQ(base::read_file(own, 64U << 20U), before);
}

// CVE-2016-9962 and every leak of its kind: from birth to execve a container's process has no
// descriptor of the host's that something inside could take.
TEST_F(AttackProcessTest, AWaitingContainerHoldsNothingOfTheHosts) {
  const base::UniqueFd secret(open("/", O_RDONLY | O_DIRECTORY));  // inherited on purpose
  const Created created = create(make_spec({"true"}), make_options());
  const fs::path folder = "/proc/" + std::to_string(created.init.pid) + "/fd";
  for (const auto& entry : fs::directory_iterator(folder)) {
    const int number = std::stoi(entry.path().filename());
    const std::string target = fs::read_symlink(entry.path());
    if (number < 3) {
      EXPECT_EQ(target, "/dev/null");
    } else {
      EXPECT_TRUE(target.starts_with("socket:") || target.starts_with("pipe:")) << target;
    }
  }
  // Nobody but root of the host may look into it.
  struct stat info = {};
  ASSERT_EQ(stat(("/proc/" + std::to_string(created.init.pid) + "/mem").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

// CVE-2020-15257: no socket of the runtime that anybody in the host's network namespace could reach
// by an abstract name.
TEST_F(AttackProcessTest, NoAbstractSockets) {
  const auto count = [] {
    std::istringstream lines(base::read_file("/proc/net/unix"));
    std::size_t found = 0;
    for (std::string line; std::getline(lines, line);)
      found += line.find(" @") != std::string::npos;
    return found;
  };
  const std::size_t before = count();
  const Created created = start_sleeper();
  EXPECT_EQ(count(), before);
}

// CVE-2022-2989, CVE-2022-36109: no group of ours, and none but those of the spec.
TEST_F(AttackProcessTest, GroupsAreExactlyTheSpecs) {
  const pid_t pid = fork();
  if (pid == 0) {
    const gid_t groups[] = {4, 24, 27};
    setgroups(3, groups);
    oci::RuntimeSpec spec = make_spec({"id", "-G"});
    spec.process->user = {.uid = 1000, .gid = 100};
    const bool right = run(spec, make_options()).output == "100\n";
    spec.process->user.additional_gids = {7};
    _exit(right && run(spec, make_options()).output == "100 7\n" ? 0 : 1);
  }
  EXPECT_EQ(base::wait_for_child(pid), 0);
}

// CVE-2023-28642, CVE-2025-31133: what is masked stays masked, also for a process that an exec
// brings, and can't be unmounted or shown again.
TEST_F(AttackProcessTest, MasksStay) {
  oci::RuntimeSpec spec = with_capability(
      make_spec(
          {"sh", "-c",
           "umount /proc/keys; umount -l /proc/keys; cat /proc/keys | wc -c; "
           "mount -t proc p /tmp; cat /tmp/keys | wc -c; echo x > /proc/sys/kernel/hostname"}),
      "CAP_SYS_CHROOT");
  const std::string output = run(spec, make_options()).output;
  EXPECT_NE(output.find("\n0\n"), std::string::npos) << output;
  const Created created = start_sleeper("two");
  EXPECT_EQ(
      exec_in("two", {"sh", "-c", "umount /proc/keys 2>/dev/null; cat /proc/keys | wc -c"}).output,
      "0\n");
}

// CVE-2025-52565 and /dev tricks: the image fills /dev/pts and /dev/console with links to the
// host's files; the container gets its own, and the terminal is a pty.
TEST_F(AttackProcessTest, TheImagesConsoleIsNotUsed) {
  fs::create_directories(home_ / "lower/dev/pts");
  fs::create_symlink("/etc/passwd", home_ / "lower/dev/console");
  fs::create_symlink("/etc/passwd", home_ / "lower/dev/pts/0");
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "tty; test -c /dev/console && echo device"});
  spec.process->terminal = true;
  Created created = create(spec, make_options());
  start(created);
  base::wait_for_child(created.init.pid);
  EXPECT_EQ(read_console(created.console.get()), "/dev/pts/0\r\ndevice\r\n");
  EXPECT_EQ(base::read_file(home_ / "lower/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  // Without a /dev of its own the terminal covers the link itself, not what it names.
  std::erase_if(spec.mounts, [](const auto& mount) { return mount.destination == "/dev"; });
  spec.process->args = {"sh", "-c", "cat /etc/passwd > /copy"};
  ids_.insert("two");
  error_of([&] {
    Created second = create(spec, make_options("two"));
    start(second);
    base::wait_for_child(second.init.pid);
    EXPECT_EQ(base::read_file(home_ / "upper/copy"), "root:x:0:0:root:/root:/bin/sh\n");
  });
  EXPECT_EQ(base::read_file(home_ / "lower/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
}

// A volume whose path is a link out of the image, or that climbs: made inside.
TEST_F(AttackProcessTest, VolumesThatClimbStayInside) {
  fs::create_directory(home_ / "data");
  base::write_file(home_ / "data/file", "mine");
  fs::create_symlink("/etc", home_ / "lower/x");
  fs::create_symlink("../../../../../../etc", home_ / "lower/y");
  oci::RuntimeSpec spec = make_spec({"cat", "/etc/a/file", "/etc/b/file", "/sampan-climb/file"});
  spec.mounts.push_back({"/x/a", "bind", home_ / "data", {"bind"}});
  spec.mounts.push_back({"/y/b", "bind", home_ / "data", {"bind"}});
  spec.mounts.push_back({"/../../sampan-climb", "bind", home_ / "data", {"bind"}});
  EXPECT_EQ(run(spec, make_options()).output,
            "minemine"
            "mine");
}

// tmpcopyup reads an image's tree: its links are copied, never followed.
TEST_F(AttackProcessTest, CopyUpFollowsNoLinks) {
  base::write_file(home_ / "secret", "host's");
  fs::create_directories(home_ / "lower/data");
  fs::create_symlink(home_ / "secret", home_ / "lower/data/file");
  fs::create_directory_symlink("/", home_ / "lower/data/root");
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "cat /data/file; ls /data/root/secret; ls /data"});
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {"tmpcopyup"}});
  const std::string output = run(spec, make_options()).output;
  EXPECT_EQ(output.find("host's"), std::string::npos) << output;
  EXPECT_NE(output.find("file\nroot\n"), std::string::npos) << output;
}

TEST_F(AttackProcessTest, LongArgumentsAndEnvironments) {
  oci::RuntimeSpec spec =
      make_spec({"true", std::string(200'000, 'x')});  // MAX_ARG_STRLEN: 128 KiB
  EXPECT_NE(error_of([&] { run(spec, make_options()); }).find("argument list too long"),
            std::string::npos);
  spec = make_spec({"sh", "-c", "env | wc -l"});
  spec.process->env.clear();
  for (int i = 0; i < 20'000; ++i) spec.process->env.push_back("V" + std::to_string(i) + "=1");
  const Outcome outcome = run(spec, make_options());
  EXPECT_GE(std::atoi(outcome.output.c_str()), 20'000) << outcome.output;
}

TEST_F(AttackProcessTest, AForkBombEndsWithTheContainer) {
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "f() { f | f & }; f; sleep 1000"});
  spec.linux_.resources.pids_limit = 60;
  Created created = create(spec, make_options());
  start(created);
  usleep(300'000);
  const auto begin = base::now();
  remove(state_dir("one"), RemoveMode::kForced);
  EXPECT_LT(base::now() - begin, base::Nanoseconds(10'000'000'000));
  waitpid(created.init.pid, nullptr, 0);
  for (const std::string& path : created.cgroup_paths) EXPECT_FALSE(fs::exists(path)) << path;
}

TEST_F(AttackProcessTest, AFirstProcessThatIgnoresSignals) {
  Created created = create(
      make_spec({"sh", "-c", "trap '' TERM INT HUP; kill -STOP $$; while true; do sleep 1; done"}),
      make_options());
  start(created);
  kill_container(state_dir("one"), SIGSTOP);
  kill_container(state_dir("one"), SIGTERM);
  EXPECT_FALSE(base::wait_for_exit(created.pidfd.get(), 200));
  remove(state_dir("one"), RemoveMode::kForced);
  EXPECT_EQ(base::wait_for_child(created.init.pid), 128 + SIGKILL);
}

TEST_F(AttackProcessTest, ThousandsOfMountsTakeBoundedTime) {
  oci::RuntimeSpec spec = make_spec({"true"});
  for (int i = 0; i < 2000; ++i) {
    spec.mounts.push_back({"/many/" + std::to_string(i), "tmpfs", "tmpfs", {"size=4k"}});
  }
  const auto begin = base::now();
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
  EXPECT_LT(base::now() - begin, base::Nanoseconds(30'000'000'000));
}

// Whatever a spec holds, its refusal is one line.
TEST_F(AttackProcessTest, RefusalsAreOneLine) {
  void (*const changes[])(oci::RuntimeSpec&) = {
      [](auto& spec) {
        spec.linux_.sysctl = {{"a\nb\x1b[31m", "x"}};
      },
      [](auto& spec) {
        spec.mounts.push_back({"/proc/x\ny", "tmpfs", "", {}});
      },
      [](auto& spec) { spec.linux_.cgroups_path = "/a/../b\n"; },
      [](auto& spec) { spec.process->rlimits = {{.type = "RLIMIT_\n"}}; },
      [](auto& spec) { spec.linux_.masked_paths = {"a\rb"}; },
      [](auto& spec) { spec.process->capabilities->effective = {"CAP_\n"}; }};
  for (const auto& change : changes) {
    oci::RuntimeSpec spec = make_spec({"true"});
    change(spec);
    const std::string text = error_of([&] { run(spec, make_options()); }, ErrorKind::kInvalid);
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find_first_of("\n\r\x1b"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace runtime
