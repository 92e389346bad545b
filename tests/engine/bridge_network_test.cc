#include "engine/bridge_network.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

TEST(BridgeNames, DifferByRoot) {
  EXPECT_EQ(plan_bridge_names("/var/lib/sampan").bridge, "sampan0");
  EXPECT_EQ(plan_bridge_names("/var/lib/../lib/sampan").table, "sampan");
  const auto one = plan_bridge_names("/srv/one");
  const auto two = plan_bridge_names("/srv/two");
  EXPECT_NE(one.bridge, two.bridge);
  EXPECT_NE(one.table, two.table);
  EXPECT_LE(one.bridge.size(), 15U);
  EXPECT_EQ(one.bridge, plan_bridge_names("/srv/one").bridge);
}

TEST(NetworkState, SurvivesTheRoundTrip) {
  NetworkState state;
  state.bridge.bridge = "b0";
  state.bridge.table = "t0";
  state.bridge.subnet = network::Ipv4Subnet::parse("10.1.0.0/16");
  state.bridge.gateway = network::Ipv4::parse("10.1.0.1");
  state.bridge.mtu = 1400;
  state.endpoint.container_id = "abc";
  state.endpoint.address = network::Ipv4::parse("10.1.2.3");
  state.endpoint.mac = network::mac_of(state.endpoint.address);
  state.endpoint.ports = {{.host_address = network::Ipv4::parse("127.0.0.1"),
                           .host_port = 8080,
                           .container_port = 80,
                           .protocol = network::Protocol::kUdp}};
  const NetworkState read = parse_network_state(render_network_state(state));
  EXPECT_EQ(read.bridge.subnet, state.bridge.subnet);
  EXPECT_EQ(read.bridge.gateway, state.bridge.gateway);
  EXPECT_EQ(read.bridge.mtu, 1400);
  EXPECT_EQ(read.endpoint.container_id, "abc");
  EXPECT_EQ(read.endpoint.address, state.endpoint.address);
  EXPECT_EQ(read.endpoint.mac, state.endpoint.mac);
  EXPECT_EQ(read.endpoint.ports, state.endpoint.ports);
}

TEST(NetworkState, NothingIsNothing) {
  EXPECT_EQ(render_network_state({}), "");
  EXPECT_EQ(parse_network_state("").endpoint.address.bits, 0U);
  for (const char* broken : {"{", "{}", R"({"bridge":{}})"}) {
    EXPECT_THROW(parse_network_state(broken), base::Error) << broken;
  }
}

TEST(Ports, PublishAllAddsWhatTheImageExposes) {
  ContainerOptions options;
  options.ports = {{.host_address = {}, .host_port = 8080, .container_port = 80}};
  EXPECT_EQ(plan_ports(options, {"80/tcp", "53/udp"}).size(), 1U);
  options.publish_all = true;
  const auto ports = plan_ports(options, {"80/tcp", "80/udp", "443"});
  ASSERT_EQ(ports.size(), 3U);
  EXPECT_EQ(ports[1].protocol, network::Protocol::kUdp);
  EXPECT_EQ(ports[2].container_port, 443);
  EXPECT_EQ(ports[2].host_port, 0);
}

TEST(Ports, BadOnesOfAnImageAreRefused) {
  for (const char* bad : {"", "x", "0/tcp", "80/x", "65536", "-1", "80tcp"}) {
    EXPECT_THROW(parse_exposed_port(bad), base::Error) << bad;
  }
}

}  // namespace
}  // namespace engine
