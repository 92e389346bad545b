#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class UserNamespaceTest : public ContainerTest {
 protected:
  // A bundle whose files belong to the user that is root inside.
  oci::RuntimeSpec make_mapped(const std::vector<std::string>& args) {
    const fs::path root = home_ / "bundle/rootfs";
    if (!fs::exists(root)) make_rootfs(root);
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      EXPECT_EQ(lchown(entry.path().c_str(), 100000, 100000), 0);
    }
    EXPECT_EQ(lchown(root.c_str(), 100000, 100000), 0);
    chmod(home_.c_str(), 0755);
    oci::RuntimeSpec spec = make_spec(args);
    spec.root.path = "rootfs";
    spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kUser, .path = {}});
    spec.linux_.uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
    spec.linux_.gid_mappings = spec.linux_.uid_mappings;
    return spec;
  }
  CreateOptions make_bundle_options(const std::string& id = "one") {
    CreateOptions options = make_options(id);
    options.overlay.reset();
    return options;
  }
};

TEST_F(UserNamespaceTest, RootInsideIsAnotherOutside) {
  const Outcome outcome = run(make_mapped({"sh", "-c",
                                           "id -u; touch /made; stat -c %u /made; "
                                           "echo x > /dev/null; cat /proc/keys; echo end"}),
                              make_bundle_options());
  EXPECT_EQ(outcome.output, "0\n0\nend\n");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "bundle/rootfs/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100000U);
}

TEST_F(UserNamespaceTest, ExecEntersItToo) {
  Created created = create(make_mapped({"sleep", "1000"}), make_bundle_options());
  start(created);
  EXPECT_EQ(exec_in("one", {"sh", "-c", "id -u; cat /proc/self/uid_map | wc -l"}).output, "0\n1\n");
  EXPECT_EQ(
      exec_in("one", {"readlink", "/proc/self/ns/user"}).output,
      fs::read_symlink("/proc/" + std::to_string(created.init.pid) + "/ns/user").string() + "\n");
}

TEST_F(UserNamespaceTest, AnImagesFilesBelongToTheUsersInside) {
  oci::RuntimeSpec spec =
      make_mapped({"sh", "-c",
                   "stat -c '%u %g' /etc/passwd /tmp; touch /made; rm /etc/passwd; "
                   "stat -c %u /made; ls /etc | wc -l"});
  spec.root.path = "/";
  const std::string error =
      error_of([&] { EXPECT_EQ(run(spec, make_options()).output, "0 0\n0 0\n0\n0\n"); });
  if (error.find("id-mapped layers: Invalid argument") != std::string::npos) {
    GTEST_SKIP() << "an overlay of detached mounts needs kernel 6.15";
  }
  ASSERT_EQ(error, "");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "upper/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100000U);
  ASSERT_EQ(stat((home_ / "lower/etc/passwd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  ASSERT_EQ(lstat((home_ / "upper/etc/passwd").c_str(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode)) << "a whiteout";
}

TEST_F(UserNamespaceTest, ALayerAloneIsMapped) {
  oci::RuntimeSpec spec = make_mapped({"stat", "-c", "%u", "/etc/passwd"});
  for (const char* folder : {"proc", "dev", "sys"}) fs::create_directory(home_ / "lower" / folder);
  CreateOptions options = make_options();
  options.overlay = RootOverlay{.lower = {home_ / "lower"}, .upper = {}, .work = {}};
  EXPECT_EQ(run(spec, options).output, "0\n");
}

TEST_F(UserNamespaceTest, IdmapTakesTheContainersOwnMappings) {
  fs::create_directory(home_ / "data");
  base::write_file(home_ / "data/file", "x");
  oci::RuntimeSpec spec =
      make_mapped({"sh", "-c", "stat -c %u /plain/file /mapped/file; touch /mapped/made"});
  spec.mounts.push_back({"/plain", "bind", home_ / "data", {"bind"}});
  spec.mounts.push_back({"/mapped", "bind", home_ / "data", {"bind", "idmap"}});
  EXPECT_EQ(run(spec, make_bundle_options()).output, "65534\n0\n");
  struct stat info = {};
  ASSERT_EQ(stat((home_ / "data/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_F(UserNamespaceTest, OneByPathIsJoinedAndTheNewOnesAreItsOwn) {
  Created first = create(make_mapped({"sleep", "1000"}), make_bundle_options());
  start(first);
  const std::string folder = "/proc/" + std::to_string(first.init.pid) + "/ns/";
  oci::RuntimeSpec spec = make_mapped(
      {"sh", "-c", "id -u; echo $$; readlink /proc/self/ns/user; hostname; mount -t tmpfs t /tmp"});
  spec.linux_.namespaces.back().path = folder + "user";
  spec.linux_.uid_mappings.clear();
  spec.linux_.gid_mappings.clear();
  spec.process->capabilities->bounding.emplace_back("CAP_SYS_ADMIN");
  for (auto* set :
       {&spec.process->capabilities->effective, &spec.process->capabilities->permitted}) {
    set->emplace_back("CAP_SYS_ADMIN");
  }
  spec.linux_.seccomp.reset();
  CreateOptions options = make_bundle_options("two");
  EXPECT_EQ(run(spec, options).output,
            "0\n1\n" + fs::read_symlink(folder + "user").string() + "\nboat\n");
  // All of a pod's together.
  using enum oci::NamespaceType;
  spec.hostname.clear();
  spec.process->args = {"sh", "-c", "id -u; ps | grep -c 'sleep 1000'"};
  for (oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type == kPid) each.path = folder + "pid";
    if (each.type == kNetwork) each.path = folder + "net";
    if (each.type == kIpc) each.path = folder + "ipc";
    if (each.type == kUts) each.path = folder + "uts";
  }
  EXPECT_EQ(run(spec, make_bundle_options("three")).output.substr(0, 2), "0\n");
}

}  // namespace
}  // namespace runtime
