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
  CreateOptions make_bundle_options() {
    CreateOptions options = make_options();
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

}  // namespace
}  // namespace runtime
