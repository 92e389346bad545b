// Every mount option of the specification, seen from inside.
#include <sys/mount.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class MountsTest : public ContainerTest {
 protected:
  // The options of mountinfo's last line for this target, proc(5): those of the mount, the
  // propagation, and those of the file system.
  std::string options_of(const oci::RuntimeSpec& base, const oci::Mount& mount) {
    oci::RuntimeSpec spec = base;
    spec.process->args = {"cat", "/proc/self/mountinfo"};
    spec.mounts.push_back(mount);
    const std::string output = run(spec, make_options()).output;
    const std::size_t at = output.rfind(" " + mount.destination + " ");
    if (at == std::string::npos) return output;
    const std::size_t begin = at + mount.destination.size() + 2;
    return output.substr(begin, output.find('\n', at) - begin);
  }
  std::string options_of(const oci::Mount& mount) { return options_of(make_spec({}), mount); }
  static bool has(const std::string& options, const std::string& word) {
    return ("," + options.substr(0, options.find(' ')) + ",").find("," + word + ",") !=
           std::string::npos;
  }
  // A directory of the host with a mount of its own below.
  fs::path nested() {
    const fs::path outer = home_ / "nested";
    fs::create_directories(outer / "inner");
    base::check(mount("tmpfs", outer.c_str(), "tmpfs", 0, nullptr), "mount");
    fs::create_directories(outer / "inner");
    base::check(mount("tmpfs", (outer / "inner").c_str(), "tmpfs", 0, nullptr), "mount");
    mounted_ = outer;
    return outer;
  }
  void TearDown() override {
    if (!mounted_.empty()) umount2(mounted_.c_str(), MNT_DETACH);
    ContainerTest::TearDown();
  }

  fs::path mounted_;
};

TEST_F(MountsTest, EachOptionShowsInTheMount) {
  const std::pair<const char*, const char*> kTable[] = {
      {"ro", "ro"},
      {"rw", "rw"},
      {"nosuid", "nosuid"},
      {"nodev", "nodev"},
      {"noexec", "noexec"},
      {"noatime", "noatime"},
      {"nodiratime", "nodiratime"},
      {"nosymfollow", "nosymfollow"},
      {"relatime", "relatime"},
      {"rro", "ro"},
      {"rnosuid", "nosuid"},
      {"rnodev", "nodev"},
      {"rnoexec", "noexec"},
      {"rnoatime", "noatime"},
      {"rnodiratime", "nodiratime"},
      {"rrelatime", "relatime"},
      {"rnosymfollow", "nosymfollow"},
      {"ratime", "relatime"},
      {"rnostrictatime", "relatime"},
      {"silent", "rw"},
      {"loud", "rw"},
      {"async", "rw"},
      {"defaults", "rw"},
      {"iversion", "rw"},
      {"nomand", "rw"},
      {"nolazytime", "rw"},
      {"symfollow", "rw"},
      {"rsymfollow", "rw"},
      {"rrw", "rw"},
      {"rdev", "rw"},
      {"rexec", "rw"},
      {"rsuid", "rw"},
      {"rdiratime", "rw"},
  };
  fs::create_directory(home_ / "data");
  for (const auto& [option, word] : kTable) {
    SCOPED_TRACE(option);
    const std::string tmpfs = options_of({"/here", "tmpfs", "tmpfs", {option}});
    EXPECT_TRUE(has(tmpfs, word)) << tmpfs;
    const std::string bind = options_of({"/here", "bind", home_ / "data", {"rbind", option}});
    EXPECT_TRUE(has(bind, word)) << bind;
  }
  for (const char* option : {"strictatime", "rstrictatime", "norelatime", "rnorelatime"}) {
    SCOPED_TRACE(option);
    const std::string options = options_of({"/here", "bind", home_ / "data", {"rbind", option}});
    EXPECT_FALSE(has(options, "relatime") || has(options, "noatime")) << options;
  }
  for (const char* option : {"sync", "dirsync", "lazytime"}) {  // of the file system
    const std::string options = options_of({"/here", "tmpfs", "tmpfs", {option}});
    EXPECT_NE(options.find(option, options.find(" - ")), std::string::npos) << options;
  }
}

TEST_F(MountsTest, RecursiveOnesReachWhatIsBelow) {
  const fs::path outer = nested();
  const auto inner = [&](std::vector<std::string> options) {
    oci::RuntimeSpec spec = make_spec({"cat", "/proc/self/mountinfo"});
    options.emplace_back("rbind");
    spec.mounts.push_back({"/tree", "bind", outer, options});
    const std::string output = run(spec, make_options()).output;
    const std::size_t at = output.find(" /tree/inner ");
    return at == std::string::npos ? output
                                   : output.substr(at + 13, output.find(' ', at + 13) - at - 13);
  };
  EXPECT_FALSE(has(inner({"ro", "nosuid"}), "ro"));
  const std::string all = inner({"rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"});
  for (const char* word : {"ro", "nosuid", "nodev", "noexec", "noatime"}) {
    EXPECT_TRUE(has(all, word)) << all;
  }
}

TEST_F(MountsTest, Propagation) {
  const fs::path outer = nested();
  base::check(mount("", outer.c_str(), "", MS_SHARED | MS_REC, nullptr), "share");
  const auto fields = [&](const char* word) {
    const std::string options = options_of({"/tree", "bind", outer, {"rbind", word}});
    return options.substr(0, options.find(" - "));
  };
  EXPECT_NE(fields("rshared").find("shared:"), std::string::npos);
  EXPECT_NE(fields("shared").find("shared:"), std::string::npos);
  EXPECT_NE(fields("rslave").find("master:"), std::string::npos);
  EXPECT_NE(fields("slave").find("master:"), std::string::npos);
  EXPECT_EQ(fields("rprivate").find("master:"), std::string::npos);
  EXPECT_EQ(fields("private").find("shared:"), std::string::npos);
  EXPECT_NE(fields("runbindable").find("unbindable"), std::string::npos);
  EXPECT_NE(fields("unbindable").find("unbindable"), std::string::npos);
}

TEST_F(MountsTest, RootfsPropagation) {
  const auto root = [&](const char* word) {
    oci::RuntimeSpec spec = make_spec({"cat", "/proc/self/mountinfo"});
    spec.linux_.rootfs_propagation = word;
    const std::string output = run(spec, make_options()).output;
    const std::size_t at = output.find(" / / ");
    return output.substr(at, output.find(" - ", at) - at);
  };
  EXPECT_NE(root("shared").find("shared:"), std::string::npos);
  EXPECT_NE(root("rshared").find("shared:"), std::string::npos);
  EXPECT_NE(root("unbindable").find("unbindable"), std::string::npos);
  EXPECT_EQ(root("rprivate").find("shared:"), std::string::npos);
  EXPECT_EQ(root("slave").find("shared:"), std::string::npos);
}

TEST_F(MountsTest, TmpcopyupKeepsWhatTheImageHas) {
  const fs::path folder = home_ / "lower/data";
  fs::create_directories(folder / "deep/er");
  base::write_file(folder / "deep/er/file", std::string(100'000, 'x'));
  base::write_file(folder / "tool", "#!/bin/sh\n");
  chmod((folder / "tool").c_str(), 04750);
  ASSERT_EQ(lchown((folder / "tool").c_str(), 5, 6), 0);
  chmod((folder / "tool").c_str(), 04750);
  fs::create_symlink("/etc/passwd", folder / "link");
  mkfifo((folder / "fifo").c_str(), 0640);
  chmod(folder.c_str(), 01770);
  oci::RuntimeSpec spec =
      make_spec({"sh", "-c",
                 "stat -c '%a %u %g %F' /data /data/tool /data/fifo; readlink /data/link; "
                 "wc -c < /data/deep/er/file; grep -c ' /data .* tmpfs ' /proc/self/mountinfo; "
                 "touch /data/new"});
  spec.mounts.push_back({"/data", "tmpfs", "tmpfs", {"tmpcopyup", "size=1m"}});
  EXPECT_EQ(run(spec, make_options()).output,
            "1770 0 0 directory\n4750 5 6 regular file\n640 0 0 fifo\n/etc/passwd\n100000\n1\n");
  EXPECT_FALSE(fs::exists(home_ / "upper/data/new"));
  spec.mounts.back().options = {"tmpcopyup", "size=8k"};
  EXPECT_NE(error_of([&] { run(spec, make_options()); }).find("No space left"), std::string::npos);
}

TEST_F(MountsTest, IdmapShowsFilesAsAnothersOwn) {
  fs::create_directory(home_ / "data");
  base::write_file(home_ / "data/file", "x");
  ASSERT_EQ(lchown((home_ / "data/file").c_str(), 5, 6), 0);
  chmod((home_ / "data").c_str(), 0777);
  oci::RuntimeSpec spec = make_spec({"sh", "-c", "stat -c '%u %g' /data/file; touch /data/made"});
  spec.process->user = {.uid = 1005, .gid = 2006};
  spec.mounts.push_back({"/data",
                         "none",
                         home_ / "data",
                         {"bind", "idmap"},
                         {{.container_id = 0, .host_id = 1000, .size = 100}},
                         {{.container_id = 0, .host_id = 2000, .size = 100}}});
  const std::string error =
      error_of([&] { EXPECT_EQ(run(spec, make_options()).output, "1005 2006\n"); });
  if (error.find("does its file system support it") != std::string::npos) GTEST_SKIP() << error;
  EXPECT_EQ(error, "");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "data/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 5U);
  EXPECT_EQ(info.st_gid, 6U);
}

TEST_F(MountsTest, RidmapReachesWhatIsBelow) {
  const fs::path outer = nested();
  base::write_file(outer / "inner/file", "x");
  oci::RuntimeSpec spec = make_spec({"stat", "-c", "%u", "/data/inner/file"});
  const auto mount_with = [&](const char* word) {
    spec.mounts.push_back({"/data",
                           "none",
                           outer,
                           {"rbind", word},
                           {{.container_id = 0, .host_id = 1000, .size = 100}},
                           {{.container_id = 0, .host_id = 2000, .size = 100}}});
    const std::string output = run(spec, make_options()).output;
    spec.mounts.pop_back();
    return output;
  };
  EXPECT_EQ(mount_with("ridmap"), "1000\n");
  EXPECT_EQ(mount_with("idmap"), "0\n");
}

TEST_F(MountsTest, RemountChangesWhatIsThere) {
  oci::RuntimeSpec spec = make_spec({});
  spec.mounts.push_back({"/here", "tmpfs", "tmpfs", {"size=64k"}});
  const std::string options =
      options_of(spec, {"/here", "", "", {"remount", "size=128k", "noexec"}});
  EXPECT_TRUE(has(options, "noexec")) << options;
  EXPECT_NE(options.find("size=128k"), std::string::npos) << options;
  const std::string bind = options_of(spec, {"/here", "", "", {"remount", "bind", "ro"}});
  EXPECT_TRUE(has(bind, "ro")) << bind;
}

TEST_F(MountsTest, CgroupMountsOfBothVersions) {
  oci::RuntimeSpec spec = make_spec({"ls", "/second"});
  spec.mounts.push_back({"/second", "cgroup2", "cgroup", {"ro", "nosuid"}});
  EXPECT_NE(run(spec, make_options()).output.find("cgroup.procs"), std::string::npos);
  // Without a namespace of its own the container sees its own groups, too.
  std::erase_if(spec.linux_.namespaces,
                [](const auto& each) { return each.type == oci::NamespaceType::kCgroup; });
  spec.process->args = {"sh", "-c",
                        "cat /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs"
                        " 2>/dev/null | head -1"};
  EXPECT_EQ(run(spec, make_options()).output, "1\n");
}

}  // namespace
}  // namespace runtime
