#include "engine/bridge_network.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/network_links.h"
#include "engine/network_state.h"

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

NetworkState example_state() {
  Attachment first{.network = "bridge", .network_id = "aa", .link = {}, .endpoint = {}};
  first.link.bridge = "b0";
  first.link.table = "t0";
  first.link.subnet = network::Ipv4Subnet::parse("10.1.0.0/16");
  first.link.gateway = network::Ipv4::parse("10.1.0.1");
  first.link.mtu = 1400;
  first.link.internal = true;
  first.endpoint.container_id = "abc";
  first.endpoint.address = network::Ipv4::parse("10.1.2.3");
  first.endpoint.mac = network::mac_of(first.endpoint.address);
  Attachment second = first;
  second.network = "blue";
  second.aliases = {"db", "cache"};
  second.link.internal = false;
  second.link.icc = false;
  second.link.subnet6 = network::Ipv6Subnet::parse("fd00::/64");
  second.link.gateway6 = network::Ipv6::parse("fd00::1");
  second.link.vxlan = network::VxlanTunnel{
      .id = 7, .port = 4789, .local = {}, .peers = {network::Ipv4::parse("10.9.9.9")}};
  second.endpoint.interface_name = "eth1";
  second.endpoint.address6 = network::Ipv6::parse("fd00::5");
  second.endpoint.ports = {
      {.host_address = network::Ipv4::parse("127.0.0.1"),
       .host_port = 8080,
       .container_port = 80,
       .protocol = network::Protocol::kUdp},
      {.host_address = network::Ipv6{}, .host_port = 81, .container_port = 80}};
  return {{first, second}};
}

TEST(NetworkState, SurvivesTheRoundTrip) {
  const NetworkState state = example_state();
  const NetworkState read = parse_network_state(render_network_state(state));
  ASSERT_EQ(read.attachments.size(), 2U);
  EXPECT_EQ(render_network_state(read), render_network_state(state));
  EXPECT_EQ(read.publisher()->network, "blue");  // the other has no way out
  EXPECT_EQ(read.publisher()->endpoint.ports, state.attachments[1].endpoint.ports);
  EXPECT_EQ(read.publisher()->link.vxlan, state.attachments[1].link.vxlan);
  EXPECT_EQ(read.find("bridge")->link.gateway, state.attachments[0].link.gateway);
  EXPECT_EQ(read.find("red"), nullptr);
}

TEST(NetworkState, ARunOfPortsIsOneEntry) {
  NetworkState state = example_state();
  auto& ports = state.attachments[1].endpoint.ports;
  const auto add = [&](std::uint16_t host, std::uint16_t inside, const char* address) {
    ports.push_back({.host_address = network::IpAddress::parse(address),
                     .host_port = host,
                     .container_port = inside});
  };
  for (std::uint16_t i = 0; i < 1000; ++i) {
    for (const char* address : {"0.0.0.0", "::"}) {
      add(static_cast<std::uint16_t>(20000 + i), static_cast<std::uint16_t>(30000 + i), address);
    }
  }
  add(21000, 31000, "0.0.0.0");  // the next, but at one address only
  add(21001, 31003, "0.0.0.0");
  add(65535, 80, "::1");
  add(65534, 81, "::1");
  const std::string text = render_network_state(state);
  EXPECT_LT(text.size(), 2200U);
  EXPECT_EQ(parse_network_state(text).attachments[1].endpoint.ports, ports);
  for (const char* broken : {"0", "45537", "-1", "\"x\""}) {
    std::string changed = text;
    changed.replace(changed.find("1000"), 4, broken);
    EXPECT_THROW(parse_network_state(changed), base::Error) << broken;
  }
}

TEST(NetworkState, LinksAreAllButThePorts) {
  NetworkState state = example_state();
  const NetworkState links = parse_network_links(render_network_state(state));
  state.attachments[1].endpoint.ports.clear();
  EXPECT_EQ(render_network_state(links), render_network_state(state));
  EXPECT_TRUE(parse_network_links("").attachments.empty());
  EXPECT_THROW(parse_network_links("[{"), base::Error);
}

TEST(NetworkState, NothingIsNothing) {
  EXPECT_EQ(render_network_state({}), "");
  EXPECT_TRUE(parse_network_state("").attachments.empty());
  EXPECT_EQ(parse_network_state("").publisher(), nullptr);
  for (const char* broken : {"{", "{}", "[{}]", R"([{"network":"x","id":"y","link":{}}])"}) {
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
