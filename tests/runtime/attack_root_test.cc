// Hostile images and specs: what each CVE did must be refused or stay inside the container.
#include <csignal>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;

class AttackTest : public ContainerTest {
 protected:
  fs::path lower() const { return home_ / "lower"; }
  // A directory of the host that nothing may be written to.
  fs::path canary() {
    const fs::path path = home_ / "canary";
    fs::create_directories(path);
    return path;
  }
  std::size_t canary_size() {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(canary()), fs::directory_iterator()));
  }
  std::string error(const oci::RuntimeSpec& spec) {
    return error_of([&] { run(spec, make_options()); });
  }
};

// CVE-2026-41579, CVE-2026-47766.
TEST_F(AttackTest, DevAsALinkIsRefused) {
  fs::create_symlink(canary(), lower() / "dev");
  EXPECT_NE(error(make_spec({"true"})).find("mount tmpfs on /dev"), std::string::npos);
  oci::RuntimeSpec spec = make_spec({"true"});
  std::erase_if(spec.mounts,
                [](const auto& mount) { return mount.destination.starts_with("/dev"); });
  EXPECT_NE(error(spec).find("make device /dev/null"), std::string::npos);
  fs::remove(lower() / "dev");
  fs::create_symlink("/tmp", lower() / "dev");
  EXPECT_NE(error(spec).find("a symbolic link is in the way"), std::string::npos);
  EXPECT_EQ(canary_size(), 0U);
}

// CVE-2019-19921, CVE-2023-27561.
TEST_F(AttackTest, ProcAndSysAsLinksAreRefused) {
  for (const char* name : {"proc", "sys"}) {
    fs::create_symlink("/tmp", lower() / name);
    const std::string text = error(make_spec({"true"}));
    EXPECT_NE(text.find(std::string(" on /") + name), std::string::npos) << text;
    EXPECT_NE(text.find("a symbolic link is in the way"), std::string::npos) << text;
    fs::remove(lower() / name);
  }
}

// CVE-2019-16884.
TEST_F(AttackTest, MountsInsideProcAreRefused) {
  fs::create_directory(home_ / "data");
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.mounts.push_back({"/proc/self", "bind", home_ / "data", {"bind"}});
  EXPECT_EQ(error(spec), "mount on /proc/self: inside /proc");
  spec.mounts.back().destination = "/x/../proc//sys/kernel";
  EXPECT_EQ(error(spec), "mount on /proc/sys/kernel: inside /proc");
  spec.mounts.back().destination = "/proc";
  EXPECT_NE(error(spec), "");
}

// CVE-2021-30465, CVE-2023-28642 and every "target is a link" of its kind.
TEST_F(AttackTest, TargetsAreResolvedInsideTheRoot) {
  fs::create_directory(home_ / "data");
  base::write_file(home_ / "data/file", "mine");
  fs::create_symlink(canary(), lower() / "absolute");
  fs::create_symlink("../../../../../../../../" + canary().string(), lower() / "relative");
  fs::create_symlink("/proc/1/root", lower() / "magic");
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "cat /absolute/file /relative/sub/file"});
  spec.mounts.push_back({"/absolute", "bind", home_ / "data", {"bind"}});
  spec.mounts.push_back({"/relative/sub", "bind", home_ / "data", {"bind"}});
  EXPECT_EQ(run(spec, make_options()).output, "minemine");
  EXPECT_EQ(canary_size(), 0U);
  spec.mounts.push_back({"/magic/etc", "bind", home_ / "data", {"bind"}});
  EXPECT_NE(error(spec).find("bind"), std::string::npos);
}

TEST_F(AttackTest, DanglingAndLoopingLinksAsTargets) {
  base::write_file(home_ / "file", "resolver");
  fs::create_directories(lower() / "etc");
  fs::create_symlink("../run/systemd/resolve/stub.conf", lower() / "etc/resolv.conf");
  fs::create_symlink("loop", lower() / "etc/loop");
  oci::RuntimeSpec spec = make_spec({"cat", "/run/systemd/resolve/stub.conf"});
  spec.mounts.push_back({"/etc/resolv.conf", "bind", home_ / "file", {"bind"}});
  EXPECT_EQ(run(spec, make_options()).output, "resolver");
  spec.mounts.back().destination = "/etc/loop";
  EXPECT_NE(error(spec).find("a symbolic link is in the way"), std::string::npos);
  spec.mounts.back().destination = "/etc";
  EXPECT_NE(error(spec).find("can't be mounted on each other"), std::string::npos);
}

// CVE-2024-21626: a working directory that leads out through a descriptor.
TEST_F(AttackTest, NoDescriptorOfTheHostIsReachable) {
  const base::UniqueFd host_root(open("/", O_RDONLY | O_DIRECTORY));  // inherited on purpose
  for (int fd = 0; fd < 40; ++fd) {
    oci::RuntimeSpec spec = make_spec({"sh", "-c", "pwd; ls"});
    spec.process->cwd = "/proc/self/fd/" + std::to_string(fd);
    std::string output;
    const std::string text = error_of([&] { output = run(spec, make_options()).output; });
    EXPECT_NE(text, "") << fd << ": " << output;
  }
}

TEST_F(AttackTest, ExecsWorkingDirectoryNeither) {
  const base::UniqueFd host_root(open("/", O_RDONLY | O_DIRECTORY));
  const Created created = start_sleeper();
  for (int fd = 0; fd < 40; ++fd) {
    oci::RuntimeSpec spec = make_spec({"sh", "-c", "pwd; ls"});
    spec.process->cwd = "/proc/self/fd/" + std::to_string(fd);
    EXPECT_NE(error_of([&] { exec_in("one", spec, *spec.process); }), "") << fd;
  }
}

// CVE-2024-45310, CVE-2026-55686.
TEST_F(AttackTest, AMissingWorkingDirectoryIsMadeInside) {
  fs::create_symlink("../../../../../../../.." + canary().string(), lower() / "out");
  oci::RuntimeSpec spec = make_spec({"pwd"});
  spec.process->cwd = "/out/deep/er";
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
  EXPECT_EQ(canary_size(), 0U);
}

// CVE-2025-31133, CVE-2025-52881: the image's /dev/null and /proc play no part in masking.
TEST_F(AttackTest, TheImagesDevNullIsNotUsed) {
  fs::create_directory(lower() / "dev");
  fs::create_symlink("/proc/sys/kernel/core_pattern", lower() / "dev/null");
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "cat /proc/keys | wc -c"});
  EXPECT_EQ(run(spec, make_options()).output, "0\n");
  std::erase_if(spec.mounts,
                [](const auto& mount) { return mount.destination.starts_with("/dev"); });
  EXPECT_NE(error(spec).find("make device /dev/null"), std::string::npos);
}

// CVE-2025-52565.
TEST_F(AttackTest, TheTerminalMustBeOnDevpts) {
  fs::create_directories(lower() / "dev/pts");
  fs::create_symlink("/dev/null", lower() / "dev/pts/ptmx");
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->terminal = true;
  std::erase_if(spec.mounts,
                [](const auto& mount) { return mount.destination.starts_with("/dev"); });
  EXPECT_NE(error(spec).find("open a terminal"), std::string::npos);
}

// CVE-2022-0811 and its kind.
TEST_F(AttackTest, OnlySysctlsOfTheContainersNamespaces) {
  const std::pair<const char*, const char*> kBad[] = {
      {"kernel.core_pattern", "|/bin/x"},
      {"kernel.shm_rmid_forced", "1\nx"},
      {"kernel.shm_rmid_forced=1+kernel.core_pattern", "x"},
      {"net/../kernel/core_pattern", "x"},
      {"net.ipv4/../../kernel/core_pattern", "x"},
      {"vm.overcommit_memory", "1"},
      {"", "1"}};
  for (const auto& [key, value] : kBad) {
    oci::RuntimeSpec spec = make_spec({"true"});
    spec.linux_.sysctl = {{key, value}};
    EXPECT_NE(error(spec), "") << key;
  }
  oci::RuntimeSpec spec = make_spec({"true"});
  std::erase_if(spec.linux_.namespaces,
                [](const auto& each) { return each.type == oci::NamespaceType::kNetwork; });
  std::erase_if(spec.mounts, [](const auto& mount) { return mount.type == "sysfs"; });
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
  EXPECT_EQ(error(spec),
            "sysctl net.ipv4.ip_forward: the container shares the host's network namespace");
}

// CVE-2024-40635: an id that wraps to "do not change".
TEST_F(AttackTest, IdsThatAreNoIds) {
  oci::RuntimeSpec spec = make_spec({"id", "-u"});
  spec.process->user.uid = 0xffffffffU;
  EXPECT_NE(error(spec), "");
  spec.process->user = {.uid = 0, .gid = 0xffffffffU};
  EXPECT_NE(error(spec), "");
  spec.process->user = {.uid = 0x80000000U, .gid = 1};
  EXPECT_EQ(run(spec, make_options()).output, "2147483648\n");
}

// CVE-2022-24769, CVE-2022-27650.
TEST_F(AttackTest, InheritableCapabilitiesAreEmpty) {
  const Created created = start_sleeper();
  EXPECT_EQ(exec_in("one", {"grep", "-E", "CapInh|CapAmb", "/proc/self/status"}).output,
            "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

// CVE-2016-9962, CVE-2019-5736: with the right to trace anybody it sees, a container sees a
// process that enters it only with the filter loaded and the capabilities gone.
TEST_F(AttackTest, AnExecIsNeverSeenWithMoreThanTheContainersRights) {
  oci::RuntimeSpec spec = make_spec(
      {"sh", "-c",
       "while true; do for p in /proc/[0-9]*; do [ -e $p/exe ] && "
       "grep -E '^(CapPrm|Seccomp):' $p/status; done 2>/dev/null | grep -v -e 'Seccomp:.2' "
       "-e CapPrm:.00000000a80c25fb -e CapPrm:.00000000a80425fb >> /seen; done"});
  auto& sets = *spec.process->capabilities;
  for (auto* list : {&sets.bounding, &sets.effective, &sets.permitted}) {
    list->emplace_back("CAP_SYS_PTRACE");
  }
  Created created = create(spec, make_options());
  start(created);
  // A long search for the program gives the one who watches time to see us.
  std::string path = "PATH=";
  for (int folder = 0; folder < 20'000; ++folder) path += "/none:";
  oci::RuntimeSpec entering = make_spec({"true"});
  entering.process->env = {path + "/bin"};
  for (int i = 0; i < 30; ++i) exec_in("one", entering, *entering.process);
  EXPECT_EQ(base::find_file(home_ / "upper/seen").value_or(""), "");
}

TEST_F(AttackTest, TheHostsFilesAreUnreachable) {
  const Outcome outcome =
      sh("ls /.. /proc/1/root; cat /proc/1/mountinfo | grep -v -e overlay -e proc "
         "-e tmpfs -e devpts -e sysfs -e cgroup -e mqueue -e devtmpfs; "
         "mount -t tmpfs t /tmp; umount /proc; mknod /x b 254 0; head -c 1 /x");
  EXPECT_EQ(outcome.output.find("canary"), std::string::npos);
  EXPECT_NE(outcome.output.find("mount: permission denied"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find("/x: Operation not permitted"), std::string::npos)
      << outcome.output;
}

TEST_F(AttackTest, AMountRacerInASharedVolumeDoesNotEscape) {
  // A neighbour swaps a directory of the shared volume for a link out while we mount below it.
  const fs::path volume = home_ / "volume";
  fs::create_directories(volume / "a");
  fs::create_symlink("/", volume / "b");
  fs::create_directory(home_ / "data");
  const pid_t racer = fork();
  if (racer == 0) {
    for (;;) {
      renameat2(AT_FDCWD, (volume / "a").c_str(), AT_FDCWD, (volume / "b").c_str(),
                RENAME_EXCHANGE);
    }
  }
  const std::string before = base::read_file("/proc/self/mountinfo");
  for (int i = 0; i < 40; ++i) {
    oci::RuntimeSpec spec = make_spec({"true"});
    spec.mounts.push_back({"/vol", "bind", volume, {"rbind"}});
    spec.mounts.push_back({"/vol/a/sampan-race/x", "bind", home_ / "data", {"bind"}});
    error_of([&] { run(spec, make_options()); });
    ASSERT_FALSE(fs::exists("/sampan-race"));
  }
  kill(racer, SIGKILL);
  waitpid(racer, nullptr, 0);
  EXPECT_EQ(base::read_file("/proc/self/mountinfo"), before);
}

}  // namespace
}  // namespace runtime
