// linux.netDevices: a link of the host moves into the container with its addresses.
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class NetDevicesTest : public ContainerTest {
 protected:
  static bool ip(const std::string& arguments) {
    return std::system(("ip " + arguments + " >/dev/null 2>&1").c_str()) == 0;
  }
  // The host is this test's own network namespace.
  static void make_link(const std::string& name) {
    if (!ip("link add " + name + " type veth peer name " + name + "p")) {
      GTEST_SKIP() << "no veth here";
    }
    ip("addr add 192.0.2.7/24 dev " + name);
    ip("addr add 2001:db8::7/64 dev " + name + " nodad");
    ip("link set " + name + " up");
  }
  void TearDown() override {
    for (const char* name : {"dev0", "dev1"}) ip(std::string("link del ") + name);
    ContainerTest::TearDown();
  }
};

TEST_F(NetDevicesTest, MovesWithNameAndAddresses) {
  make_link("dev0");
  make_link("dev1");
  if (IsSkipped()) return;
  oci::RuntimeSpec spec =
      make_spec({"sh", "-c", "ip -o addr show data0; ip -o link show dev1 | grep -c UP"});
  spec.linux_.net_devices = {{"dev0", "data0"}, {"dev1", ""}};
  const std::string output = run(spec, make_options()).output;
  EXPECT_NE(output.find("inet 192.0.2.7/24"), std::string::npos) << output;
  EXPECT_NE(output.find("inet6 2001:db8::7/64"), std::string::npos) << output;
  EXPECT_NE(output.find("\n1\n"), std::string::npos) << output;
  EXPECT_FALSE(ip("link show dev0"));
}

TEST_F(NetDevicesTest, RefusesByName) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.linux_.net_devices = {{"none0", ""}};
  EXPECT_EQ(error_of([&] { run(spec, make_options()); }),
            "linux.netDevices.none0: this host has no such device");
  spec.linux_.net_devices = {{"lo", "a/b"}};
  EXPECT_EQ(error_of([&] { run(spec, make_options()); }),
            "linux.netDevices.lo: \"a/b\" is no name of a device");
  EXPECT_FALSE(fs::exists(state_dir("one")));
  std::erase_if(spec.linux_.namespaces,
                [](const auto& each) { return each.type == oci::NamespaceType::kNetwork; });
  EXPECT_EQ(error_of([&] { run(spec, make_options()); }),
            "linux.netDevices: the network namespace is the host's");
}

}  // namespace
}  // namespace runtime
