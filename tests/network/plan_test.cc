// What `run --explain` prints, and what the firewall consists of.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "network/bridge.h"
#include "network/firewall.h"
#include "network/link.h"

namespace network {
namespace {

using testing::ElementsAre;

BridgeConfig config() {
  BridgeConfig result;
  result.subnet = Ipv4Subnet::parse("10.208.0.0/16");
  result.gateway = result.subnet.first_host();
  return result;
}

Endpoint endpoint() {
  Endpoint result;
  result.container_id = "3f4e5d6c7b8a99887766";
  result.address = Ipv4::parse("10.208.0.2");
  result.mac = mac_of(result.address);
  result.ports = {{Ipv4{0}, 8080, 80, Protocol::kTcp},
                  {Ipv4::parse("127.0.0.1"), 5300, 53, Protocol::kUdp}};
  return result;
}

std::vector<std::string> texts(const std::vector<Step>& steps) {
  std::vector<std::string> result;
  result.reserve(steps.size());
  for (const Step& step : steps) result.push_back(step.text);
  return result;
}

TEST(PlanEndpoint, SaysEveryStepInOrder) {
  const NetworkPlan plan = plan_endpoint(config(), endpoint());
  EXPECT_THAT(
      texts(plan.endpoint),
      ElementsAre("create veth ve3f4e5d6c7b8 with peer eth0 (02:42:0a:d0:00:02) in the container, "
                  "port of sampan0",
                  "hairpin mode on port ve3f4e5d6c7b8 of sampan0",
                  "write 1 to /proc/sys/net/ipv6/conf/eth0/disable_ipv6", "in the container: lo up",
                  "in the container: eth0 up", "in the container: address 10.208.0.2/16 on eth0",
                  "in the container: default route via 10.208.0.1 dev eth0"));
  EXPECT_THAT(texts(plan.ports), ElementsAre("map 0.0.0.0:8080/tcp to 10.208.0.2:80",
                                             "map 127.0.0.1:5300/udp to 10.208.0.2:53"));
  const auto bridge = texts(plan.bridge);
  EXPECT_EQ(bridge[0], "create bridge sampan0");
  EXPECT_EQ(bridge[1], "address 10.208.0.1/16 on sampan0");
  EXPECT_EQ(bridge[2], "write 1 to /proc/sys/net/ipv4/ip_forward");
}

TEST(PlanEndpoint, WithoutPortsThereIsNoHairpin) {
  Endpoint plain = endpoint();
  plain.ports.clear();
  const NetworkPlan plan = plan_endpoint(config(), plain);
  EXPECT_EQ(plan.endpoint.size(), 6U);
  EXPECT_TRUE(plan.ports.empty());
}

TEST(PlanFirewall, IsThisTable) {
  std::vector<std::string> rules;
  for (const std::string& text : texts(plan_firewall(config()).steps)) {
    if (text.rfind("add rule inet sampan ", 0) == 0) rules.push_back(text.substr(21));
  }
  EXPECT_THAT(
      rules,
      ElementsAre(
          "guard meta nfproto ipv4 ip daddr 127.0.0.0/8 iifname != \"lo\" drop",
          "guard meta nfproto ipv4 ip saddr 127.0.0.0/8 iifname != \"lo\" drop",
          "published meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map "
          "@ports_of_address",
          "published meta nfproto ipv4 dnat ip to meta l4proto . th dport map "
          "@ports_of_any_address",
          "published meta nfproto ipv6 ip6 daddr ::1 return",
          "published meta nfproto ipv6 dnat ip6 to ip6 daddr . meta l4proto . th dport map "
          "@ports_of_address6",
          "published meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map "
          "@ports_of_any_address6",
          "prerouting fib daddr type local jump published",
          "output fib daddr type local jump published",
          "postrouting meta nfproto ipv4 oifname != @bridges ip saddr @masqueraded masquerade",
          "postrouting meta nfproto ipv6 oifname != @bridges ip6 saddr @masqueraded6 masquerade",
          "postrouting meta nfproto ipv4 oifname @bridges ip saddr 127.0.0.0/8 masquerade",
          "postrouting meta nfproto ipv4 oifname @bridges ip saddr @subnets ct status dnat "
          "masquerade",
          "postrouting meta nfproto ipv6 oifname @bridges ip6 saddr @subnets6 ct status dnat "
          "masquerade",
          "forward oifname @bridges ct state established,related accept",
          "forward iifname . oifname @within accept",
          "forward oifname @bridges ct status ! dnat drop", "forward iifname @internal drop",
          "forward oifname @internal drop"));
}

TEST(PlanFirewall, TheMarkerChangesWithTheConfiguration) {
  const std::string marker = plan_firewall(config()).chains.back().name;
  EXPECT_EQ(plan_firewall(config()).chains.back().name, marker);
  BridgeConfig other = config();
  other.bridge = "br-other";  // another network of the store has the same table
  EXPECT_EQ(plan_firewall(other).chains.back().name, marker);
  other.host_filter = HostFilter::kObey;
  EXPECT_NE(plan_firewall(other).chains.back().name, marker);
}

TEST(HostLinkName, IsElevenDigitsOfTheId) {
  EXPECT_EQ(host_link_name(endpoint()), "ve3f4e5d6c7b8");
  for (const char* id : {"", "G123", "../../x", "3f 4"}) {
    Endpoint bad = endpoint();
    bad.container_id = id;
    EXPECT_THROW(host_link_name(bad), base::Error) << id;
  }
}

}  // namespace
}  // namespace network
