// Who can reach a container and who can't: real TCP and UDP between real namespaces.
#include <string>

#include <gtest/gtest.h>

#include "tests/network/world.h"

namespace network_test {
namespace {

constexpr char kBridgeNetfilter[] = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const Ipv4 kAny{0};
const Ipv4 kLocalhost = Ipv4::parse("127.0.0.1");
const Ipv4 kHostAddress = Ipv4::parse("198.51.100.1");

struct Case {
  Protocol protocol;
  const char* bridge_netfilter;  // whether bridged packets pass the firewall: both exist out there
};

class Reach : public World, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    World::SetUp();
    if (IsSkipped()) return;
    add_outside();
    write_setting(kBridgeNetfilter, GetParam().bridge_netfilter);
  }
  Protocol protocol() const { return GetParam().protocol; }
  PublishedPort published(Ipv4 address, std::uint16_t host_port) const {
    return {address, host_port, 80, protocol()};
  }
  Target target(Ipv4 address, std::uint16_t port) const { return {address, port, protocol()}; }
};

INSTANTIATE_TEST_SUITE_P(All, Reach,
                         testing::Values(Case{Protocol::kTcp, "0"}, Case{Protocol::kTcp, "1"},
                                         Case{Protocol::kUdp, "0"}, Case{Protocol::kUdp, "1"}),
                         [](const auto& test) {
                           return std::string(test.param.protocol == Protocol::kTcp ? "Tcp"
                                                                                    : "Udp") +
                                  (test.param.bridge_netfilter[0] == '1' ? "WithBridgeNetfilter"
                                                                         : "Plain");
                         });

TEST_P(Reach, APortPublishedOnAnyAddressIsReachableFromEverywhere) {
  const Machine web = start(1, {published(kAny, 8080)});
  const Machine other = start(2);
  const UniqueFd server = serve(web.fd(), protocol(), kAny, 80);

  // From the host itself: the container sees an address that it can answer to.
  EXPECT_EQ(talk(host_.get(), target(kLocalhost, 8080), server), config_.gateway.str());
  EXPECT_EQ(talk(host_.get(), target(Ipv4::parse("127.1.2.3"), 8080), server),
            config_.gateway.str());
  EXPECT_TRUE(talk(host_.get(), target(kHostAddress, 8080), server));
  EXPECT_TRUE(talk(host_.get(), target(config_.gateway, 8080), server));
  // From another host: its address is kept.
  EXPECT_EQ(talk(other_host_.fd(), target(kHostAddress, 8080), server), "198.51.100.2");
  // From the container itself and from its neighbour, by any of the host's addresses.
  EXPECT_TRUE(talk(web.fd(), target(kHostAddress, 8080), server));
  EXPECT_TRUE(talk(web.fd(), target(config_.gateway, 8080), server));
  EXPECT_TRUE(talk(other.fd(), target(kHostAddress, 8080), server));
  EXPECT_TRUE(talk(other.fd(), target(config_.gateway, 8080), server));
}

TEST_P(Reach, ContainersReachTheHostEachOtherAndTheWorld) {
  const Machine one = start(1);
  const Machine two = start(2);
  const UniqueFd in_two = serve(two.fd(), protocol(), kAny, 5000);
  const UniqueFd on_host = serve(host_.get(), protocol(), kAny, 5001);
  const UniqueFd outside = serve(other_host_.fd(), protocol(), kAny, 5002);

  EXPECT_EQ(talk(one.fd(), target(two.endpoint.address, 5000), in_two), one.endpoint.address.str());
  EXPECT_EQ(talk(one.fd(), target(config_.gateway, 5001), on_host), one.endpoint.address.str());
  EXPECT_EQ(talk(host_.get(), target(two.endpoint.address, 5000), in_two), config_.gateway.str());
  // Masqueraded: the world knows the host only.
  EXPECT_EQ(talk(one.fd(), target(Ipv4::parse("198.51.100.2"), 5002), outside), "198.51.100.1");
}

TEST_P(Reach, OtherHostsDoNotReachContainersPastThePublishedPorts) {
  const Machine web = start(1, {published(kAny, 8080)});
  const UniqueFd server = serve(web.fd(), protocol(), kAny, 80);
  // The other host's default route leads here, and this host forwards.
  EXPECT_FALSE(talk(other_host_.fd(), target(web.endpoint.address, 80), server, kImpatience));
  EXPECT_FALSE(talk(other_host_.fd(), target(web.endpoint.address, 8080), server, kImpatience));
  EXPECT_TRUE(talk(other_host_.fd(), target(kHostAddress, 8080), server));
}

TEST_P(Reach, APortPublishedOnLoopbackStaysThere) {
  const Machine web = start(1, {published(kLocalhost, 8080)});
  const UniqueFd server = serve(web.fd(), protocol(), kAny, 80);
  EXPECT_EQ(talk(host_.get(), target(kLocalhost, 8080), server), config_.gateway.str());
  EXPECT_FALSE(talk(host_.get(), target(kHostAddress, 8080), server, kImpatience));
  EXPECT_FALSE(talk(other_host_.fd(), target(kHostAddress, 8080), server, kImpatience));
  EXPECT_FALSE(talk(web.fd(), target(config_.gateway, 8080), server, kImpatience));

  // Neighbours that send packets for 127.0.0.1 over the wire (CVE-2020-8558).
  for (const Machine* neighbour : std::array<const Machine*, 2>{&other_host_, &web}) {
    const Ipv4 gateway = neighbour == &web ? config_.gateway : kHostAddress;
    const network::InsideNetwork inside(neighbour->fd());
    write_setting("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1");
    const std::string own = neighbour->endpoint.address.str();
    const std::string replace =
        "ip address flush dev lo; ip route flush table local; "
        "ip route add local " +
        own +
        " dev eth0 table local && "
        "ip route add 127.0.0.1 via " +
        gateway.str() + " dev eth0 src " + own;
    ASSERT_EQ(std::system(replace.c_str()), 0);
    EXPECT_FALSE(talk(neighbour->fd(), target(kLocalhost, 8080), server, kImpatience));
  }
}

TEST_P(Reach, APortPublishedOnOneAddressIsReachableThere) {
  const Machine web = start(1, {published(kHostAddress, 8080)});
  const UniqueFd server = serve(web.fd(), protocol(), kAny, 80);
  EXPECT_TRUE(talk(other_host_.fd(), target(kHostAddress, 8080), server));
  EXPECT_TRUE(talk(host_.get(), target(kHostAddress, 8080), server));
  EXPECT_TRUE(talk(web.fd(), target(kHostAddress, 8080), server));
  EXPECT_FALSE(talk(host_.get(), target(kLocalhost, 8080), server, kImpatience));
}

TEST_P(Reach, AnAddressHasPriorityOverAnyAddress) {
  const Machine any = start(1, {published(kAny, 8080)});
  const Machine special = start(2, {published(kHostAddress, 8080)});
  const UniqueFd in_any = serve(any.fd(), protocol(), kAny, 80);
  const UniqueFd in_special = serve(special.fd(), protocol(), kAny, 80);
  EXPECT_TRUE(talk(other_host_.fd(), target(kHostAddress, 8080), in_special));
  EXPECT_TRUE(talk(host_.get(), target(kLocalhost, 8080), in_any));
}

TEST_P(Reach, WhatIsUnpublishedIsGone) {
  const Machine web = start(1, {published(kAny, 8080)});
  const UniqueFd server = serve(web.fd(), protocol(), kAny, 80);
  EXPECT_TRUE(talk(other_host_.fd(), target(kHostAddress, 8080), server));
  network::unpublish(config_, web.endpoint);
  EXPECT_FALSE(talk(other_host_.fd(), target(kHostAddress, 8080), server, kImpatience));
  EXPECT_FALSE(talk(host_.get(), target(kLocalhost, 8080), server, kImpatience));
}

TEST_P(Reach, TheOtherProtocolIsAnotherPort) {
  const Machine web = start(1, {published(kAny, 8080)});
  const Protocol other = protocol() == Protocol::kTcp ? Protocol::kUdp : Protocol::kTcp;
  const UniqueFd server = serve(web.fd(), other, kAny, 80);
  EXPECT_FALSE(talk(host_.get(), {kLocalhost, 8080, other}, server, kImpatience));
}

// A client that keeps its port, as many UDP clients do, must not stay with the container that had
// the port before, nor with the nobody that had it.
TEST_F(World, APortThatMovesTakesItsClientsAlong) {
  add_outside();
  network::ensure_bridge(config_);
  const std::vector<PublishedPort> ports{{kAny, 8080, 80, Protocol::kUdp}};
  const Target target{kHostAddress, 8080, Protocol::kUdp, 40000};
  const UniqueFd on_host = serve(host_.get(), Protocol::kUdp, kAny, 8080);
  EXPECT_TRUE(talk(other_host_.fd(), target, on_host));

  const Machine first = start(1, ports);
  const UniqueFd in_first = serve(first.fd(), Protocol::kUdp, kAny, 80);
  EXPECT_TRUE(talk(other_host_.fd(), target, in_first));

  network::unpublish(config_, first.endpoint);
  EXPECT_TRUE(talk(other_host_.fd(), target, on_host));

  const Machine second = start(2, ports);
  const UniqueFd in_second = serve(second.fd(), Protocol::kUdp, kAny, 80);
  EXPECT_TRUE(talk(other_host_.fd(), target, in_second));
}

}  // namespace
}  // namespace network_test
