// One container's end: what connect() makes, what it leaves behind, what it says when it fails.
#include <chrono>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/network/world.h"

namespace network_test {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

class Connect : public World {
 protected:
  void SetUp() override {
    World::SetUp();
    if (!IsSkipped()) network::ensure_bridge(config_);
  }
  // The error of connecting like that; and the caller still stands where it stood.
  base::Error error_of(const Endpoint& endpoint, int netns) {
    const ino_t before = current_network_inode();
    try {
      network::connect(config_, endpoint, netns);
    } catch (const base::Error& error) {
      EXPECT_EQ(current_network_inode(), before);
      return error;
    }
    ADD_FAILURE() << "connect() did not fail";
    return {ErrorKind::kInvalid, ""};
  }
};

std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = popen(command.c_str(), "r");
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  pclose(pipe);
  return text;
}

TEST_F(Connect, MakesTheContainersInterfaces) {
  config_.mtu = 1400;
  const ino_t before = current_network_inode();
  const Machine machine = start(1, {{Ipv4{0}, 8080, 80, Protocol::kTcp}});
  EXPECT_EQ(current_network_inode(), before);
  const std::string host = output_of("ip -d link show ve00000001000");
  EXPECT_THAT(host, HasSubstr("master sampan0"));
  EXPECT_THAT(host, HasSubstr("hairpin on"));
  EXPECT_THAT(host, HasSubstr("mtu 1400"));

  const network::InsideNetwork inside(machine.fd());
  const std::string links = output_of("ip -d addr show");
  EXPECT_THAT(links, HasSubstr("lo: <LOOPBACK,UP,LOWER_UP>"));
  EXPECT_THAT(links, HasSubstr("eth0@"));
  EXPECT_THAT(links, HasSubstr("02:42:0a:d0:00:02"));
  EXPECT_THAT(links, HasSubstr("inet 10.208.0.2/16 brd 10.208.255.255 scope global eth0"));
  EXPECT_THAT(links, HasSubstr("mtu 1400"));
  EXPECT_EQ(output_of("ip route show default"), "default via 10.208.0.1 dev eth0 \n");
  EXPECT_EQ(read_setting("/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1");
}

TEST_F(Connect, HairpinOnlyWherePortsArePublished) {
  const Machine machine = start(1);
  EXPECT_THAT(output_of("ip -d link show ve00000001000"), HasSubstr("hairpin off"));
}

// The first packet after connect() must not be lost: a repeated ARP request takes a second.
TEST_F(Connect, TheFirstPacketArrives) {
  for (unsigned number = 1; number <= 20; ++number) {
    const UniqueFd server = serve(host_.get(), Protocol::kUdp, {0}, 5000);
    const Machine machine = start(number);
    EXPECT_TRUE(talk(machine.fd(), {config_.gateway, 5000, Protocol::kUdp}, server, 900)) << number;
  }
}

TEST_F(Connect, ThePairDiesWithItsNamespace) {
  Machine machine = start(1);
  EXPECT_NE(link_index("ve00000001000"), 0);
  machine.network.reset();
  for (int i = 0; i < 500 && link_index("ve00000001000") != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(link_index("ve00000001000"), 0);
}

// A container that starts again at once may find the name of its own last pair still taken.
TEST_F(Connect, ATakenNameInTheHostLeavesOthers) {
  const char* count = "ip -o link | grep -c ': ve'";
  const Machine first = start(1);
  ASSERT_NE(link_index("ve00000001000"), 0);
  ASSERT_EQ(output_of(count), "1\n");
  const UniqueFd other = new_network();
  network::connect(config_, first.endpoint, other.get());
  EXPECT_EQ(output_of(count), "2\n");
}

TEST_F(Connect, ATakenNameInTheContainerLeavesNoLink) {
  const UniqueFd other = new_network();
  {
    const network::InsideNetwork inside(other.get());
    ASSERT_EQ(std::system("ip link add eth0 type veth peer name other0"), 0);
  }
  EXPECT_EQ(error_of(endpoint(id_of(1), address_of(1)), other.get()).kind(), ErrorKind::kConflict);
  EXPECT_EQ(link_index("ve00000001000"), 0);
}

TEST_F(Connect, FailuresNameTheStep) {
  const UniqueFd other = new_network();
  const UniqueFd no_namespace = base::open_file("/dev/null", O_RDONLY);
  EXPECT_THAT(error_of(endpoint(id_of(1), address_of(1)), no_namespace.get()).what(),
              HasSubstr("create veth ve00000001000"));
  EXPECT_EQ(error_of(endpoint("", address_of(1)), other.get()).kind(), ErrorKind::kInvalid);
  EXPECT_EQ(error_of(endpoint("../x", address_of(1)), other.get()).kind(), ErrorKind::kInvalid);
  // A gateway that the container can't see: refused inside the container, named all the same.
  config_.gateway = Ipv4::parse("192.0.2.1");
  EXPECT_THAT(error_of(endpoint(id_of(2), address_of(2)), other.get()).what(),
              HasSubstr("in the container: default route via 192.0.2.1 dev eth0"));
}

TEST_F(Connect, WithoutABridge) {
  const UniqueFd other = new_network();
  config_.bridge = "missing0";
  EXPECT_THAT(error_of(endpoint(id_of(1), address_of(1)), other.get()).what(),
              HasSubstr("missing0"));
}

TEST_F(Connect, LoopbackAlone) {
  const UniqueFd other = new_network();
  network::bring_up_loopback(other.get());
  const UniqueFd server = serve(other.get(), Protocol::kTcp, {0}, 80);
  EXPECT_TRUE(talk(other.get(), {Ipv4::parse("127.0.0.1"), 80}, server));
  EXPECT_FALSE(talk(other.get(), {config_.gateway, 80}, server, kImpatience));
}

TEST_F(Connect, LeavesNoDescriptors) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = descriptors();
  for (unsigned number = 1; number <= 3; ++number) {
    const Machine machine = start(number, {{Ipv4{0}, 8080, 80, Protocol::kTcp}});
    network::unpublish(config_, machine.endpoint);
  }
  EXPECT_EQ(descriptors(), before);
}

}  // namespace
}  // namespace network_test
