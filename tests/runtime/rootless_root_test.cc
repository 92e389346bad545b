// Containers of a user who is not root: each test becomes one for real, in a process of its own.
#include <csignal>
#include <grp.h>
#include <sys/mount.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

constexpr uid_t kNobody = 65534;  // has no right to anything, and newuidmap(1) knows it

class RootlessTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (home_.empty()) return;
    make_rootfs(home_ / "bundle/rootfs");
    give(home_);
  }
  void TearDown() override {
    for (const char* file : mounted_) umount2(file, MNT_DETACH);
    ContainerTest::TearDown();
  }

  static void give(const fs::path& path) {
    ASSERT_EQ(lchown(path.c_str(), kNobody, kNobody), 0);
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      ASSERT_EQ(lchown(entry.path().c_str(), kNobody, kNobody), 0);
    }
  }

  // In this test's own mount namespace.
  void allow_range() {
    base::write_file(home_ / "sub", "nobody:300000:65536\n");
    chmod((home_ / "sub").c_str(), 0644);
    for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
      base::check(mount((home_ / "sub").c_str(), file, "", MS_BIND, nullptr), file);
      mounted_.push_back(file);
    }
  }

  oci::RuntimeSpec make_mapped(const std::vector<std::string>& args, bool range = false) {
    oci::RuntimeSpec spec = make_spec(args);
    spec.root.path = "rootfs";
    spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kUser, .path = {}});
    spec.linux_.uid_mappings = {{.container_id = 0, .host_id = kNobody, .size = 1}};
    if (range) {
      spec.linux_.uid_mappings.push_back({.container_id = 1, .host_id = 300000, .size = 65536});
    }
    spec.linux_.gid_mappings = spec.linux_.uid_mappings;
    return spec;
  }

  CreateOptions make_bundle_options(const std::string& id = "one") {
    CreateOptions options = make_options(id);
    options.overlay.reset();
    return options;
  }

  // What the action returns, or what it throws, as that user.
  template <class Action>
  std::string as_user(Action&& action) {
    int ends[2] = {-1, -1};
    base::check(pipe2(ends, O_CLOEXEC), "pipe");
    base::UniqueFd reader(ends[0]);
    base::UniqueFd writer(ends[1]);
    const pid_t pid = fork();
    if (pid == 0) {
      std::string text;
      try {
        base::check(setgroups(0, nullptr), "setgroups");
        base::check(setresgid(kNobody, kNobody, kNobody), "setresgid");
        base::check(setresuid(kNobody, kNobody, kNobody), "setresuid");
        prctl(PR_SET_DUMPABLE, 1);  // as after an execve(2)
        text = action();
      } catch (const base::Error& error) {
        text = std::string("error: ") + error.what();
      }
      base::write_all(writer.get(), text);
      _exit(0);
    }
    writer.reset();
    const std::string text = base::read_fd(reader.get());
    EXPECT_EQ(base::wait_for_child(pid), 0);
    return text;
  }

  std::vector<const char*> mounted_;
  std::string locked_;
};

TEST_F(RootlessTest, ASingleIdIsMappedWithoutHelp) {
  EXPECT_EQ(
      as_user([&] {
        return run(make_mapped({"sh", "-c",
                                "id -u; id -g; cat /proc/self/setgroups; hostname; echo $$; "
                                "touch /made; grep CapEff /proc/self/status; "
                                "echo x > /dev/null && stat -c %t:%T /dev/null; "
                                "grep Seccomp: /proc/self/status; ls /sys/fs/cgroup | wc -l"}),
                   make_bundle_options())
            .output;
      }),
      "0\n0\ndeny\nboat\n1\nCapEff:\t00000000a80425fb\n1:3\nSeccomp:\t2\n0\n");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "bundle/rootfs/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kNobody);
}

TEST_F(RootlessTest, ARangeIsMappedByNewuidmap) {
  if (access("/usr/bin/newuidmap", X_OK) != 0) GTEST_SKIP() << "needs Debian's package uidmap";
  allow_range();
  EXPECT_EQ(
      as_user([&] {
        oci::RuntimeSpec spec = make_mapped({"sh", "-c", "id -u; id -G; echo x > /tmp/made"}, true);
        spec.process->user = {.uid = 1000, .gid = 100, .additional_gids = {5, 7}};
        return run(spec, make_bundle_options()).output;
      }),
      "1000\n100 5 7\n");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "bundle/rootfs/tmp/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 300999U);
}

TEST_F(RootlessTest, ARangeThatIsNotAllowedIsNewuidmapsToRefuse) {
  if (access("/usr/bin/newuidmap", X_OK) != 0) GTEST_SKIP() << "needs Debian's package uidmap";
  const std::string text =
      as_user([&] { return run(make_mapped({"true"}, true), make_bundle_options()).output; });
  EXPECT_NE(text.find("error: newuidmap: exit code 1: newuidmap: "), std::string::npos) << text;
}

TEST_F(RootlessTest, RefusesWhatASingleGroupCanNotGive) {
  EXPECT_EQ(as_user([&] {
              oci::RuntimeSpec spec = make_mapped({"true"});
              spec.process->user.additional_gids = {5};
              return run(spec, make_bundle_options()).output;
            }),
            "error: process.user.additionalGids: not without a range of mapped groups");
  EXPECT_EQ(
      as_user([&] {
        oci::RuntimeSpec spec = make_mapped({"true"});
        spec.linux_.namespaces.pop_back();
        spec.linux_.uid_mappings.clear();
        spec.linux_.gid_mappings.clear();
        return run(spec, make_bundle_options()).output;
      }),
      "error: linux.namespaces: a container of a user other than root needs a user namespace");
  const std::string limit = as_user([&] {
    oci::RuntimeSpec spec = make_mapped({"true"});
    spec.linux_.resources.memory.limit = 64 << 20;
    return run(spec, make_bundle_options()).output;
  });
  EXPECT_TRUE(limit.starts_with("error: linux.resources: ")) << limit;
}

TEST_F(RootlessTest, ADelegatedCgroupIsUsed) {
  const std::string parent = "/sampan-test-user-" + std::to_string(getpid());
  const fs::path group = "/sys/fs/cgroup/memory" + parent;
  if (!fs::exists("/sys/fs/cgroup/memory")) GTEST_SKIP() << "needs the memory controller on v1";
  fs::create_directory(group);
  give(group);
  EXPECT_EQ(as_user([&] {
              oci::RuntimeSpec spec =
                  make_mapped({"sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes"});
              spec.linux_.resources.memory.limit = 64 << 20;
              CreateOptions options = make_bundle_options();
              options.cgroup_parent = parent;
              return run(spec, options).output;
            }),
            "67108864\n");
  rmdir(group.c_str());
}

// What the host has set on a mount stays so in a user namespace. That is no reason to refuse a bind
// unless its options say otherwise.
TEST_F(RootlessTest, FlagsThatTheHostLockedStay) {
  const fs::path folder = home_ / "locked";
  fs::create_directory(folder);
  base::check(mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr),
              "mount");
  locked_ = folder;
  mounted_.push_back(locked_.c_str());
  give(folder);
  const auto bind = [&](const std::vector<std::string>& words) {
    return as_user([&] {
      oci::RuntimeSpec spec = make_mapped({"sh", "-c", "grep -o ' /inside .*' /proc/self/mounts"});
      oci::Mount one{.destination = "/inside", .type = "bind", .source = folder};
      one.options = {"rbind"};
      one.options.insert(one.options.end(), words.begin(), words.end());
      spec.mounts.push_back(one);
      return run(spec, make_bundle_options()).output;
    });
  };
  EXPECT_TRUE(bind({"rw"}).starts_with(" /inside tmpfs rw,nosuid,nodev,noexec,"));
  EXPECT_TRUE(bind({"ro", "rprivate"}).starts_with(" /inside tmpfs ro,nosuid,nodev,noexec,"));
  const std::string refused = bind({"exec", "suid"});
  EXPECT_NE(refused.find("bind " + folder.string() + " on /inside"), std::string::npos) << refused;
  EXPECT_NE(refused.find(": Operation not permitted: the host's mount is nosuid,noexec, which a "
                         "user namespace can't take back: leave out \"suid,exec\""),
            std::string::npos)
      << refused;
  EXPECT_NE(bind({"rdev"}).find("leave out \"dev\""), std::string::npos) << bind({"rdev"});
}

TEST_F(RootlessTest, HooksTerminalAndExec) {
  const std::string text = as_user([&] {
    oci::RuntimeSpec spec = make_mapped({"sleep", "1000"});
    spec.process->oom_score_adj = 500;
    const auto hook = [&](const std::string& script) {
      return oci::Hook{
          .path = "/bin/busybox", .args = {"sh", "-c", script}, .env = {}, .timeout = 5};
    };
    const std::string log = home_ / "log";
    spec.hooks.create_runtime = {hook("echo runtime >> " + log)};
    spec.hooks.create_container = {hook("echo container >> " + log)};
    spec.hooks.start_container = {hook("/bin/hostname > /seen")};
    Created created = create(spec, make_bundle_options());
    start(created);
    std::string result =
        exec_in("one", {"sh", "-c", "id -u; cat /seen; cat /proc/1/oom_score_adj"}).output;
    remove(state_dir("one"), RemoveMode::kForced);
    waitpid(created.init.pid, nullptr, 0);
    oci::RuntimeSpec with_terminal = make_mapped({"tty"});
    with_terminal.process->terminal = true;
    Created second = create(with_terminal, make_bundle_options("two"));
    start(second);
    result += second.console ? "console\n" : "no console\n";
    base::wait_for_child(second.init.pid);
    remove(state_dir("two"), RemoveMode::kForced);
    return result + base::read_file(log);
  });
  EXPECT_EQ(text, "0\nboat\n500\nconsole\nruntime\ncontainer\n");
}

TEST_F(RootlessTest, TheHostsNetworkAndItsSysfs) {
  EXPECT_EQ(
      as_user([&] {
        oci::RuntimeSpec spec = make_mapped({"sh", "-c", "test -d /sys/class && touch /sys/x"});
        std::erase_if(spec.linux_.namespaces,
                      [](const auto& each) { return each.type == oci::NamespaceType::kNetwork; });
        std::string output = run(spec, make_bundle_options()).output;
        spec.process->args = {"sleep", "1000"};
        Created created = create(spec, make_bundle_options());
        start(created);
        output += exec_in("one", {"echo", "inside"}).output;
        remove(state_dir("one"), RemoveMode::kForced);
        waitpid(created.init.pid, nullptr, 0);
        return output;
      }),
      "touch: /sys/x: Read-only file system\ninside\n");
}

TEST_F(RootlessTest, AnOverlayIsMountedInTheUserNamespace) {
  EXPECT_EQ(as_user([&] {
              oci::RuntimeSpec spec = make_mapped({"sh", "-c", "echo x > /made; cat /etc/passwd"});
              return run(spec, make_options()).output;
            }),
            "root:x:0:0:root:/root:/bin/sh\n");
  EXPECT_TRUE(fs::exists(home_ / "upper/made"));
}

}  // namespace
}  // namespace runtime
