// The bridge, its table and its elements: made once, repaired, shared by processes that race.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <set>
#include <sys/wait.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "network/firewall.h"
#include "network/nft_message.h"
#include "tests/network/world.h"

namespace network_test {
namespace {

using base::ErrorKind;
using network::Netlink;
using testing::HasSubstr;

constexpr char kForward[] = "/proc/sys/net/ipv4/ip_forward";
constexpr char kRouteLocalnet[] = "/proc/sys/net/ipv4/conf/sampan0/route_localnet";
const Ipv4 kAny{0};

PublishedPort tcp(std::uint16_t host_port, std::uint16_t container_port = 80) {
  return {kAny, host_port, container_port, Protocol::kTcp};
}

class Bridge : public World {
 protected:
  // Whether a second look finds nothing to do.
  bool is_in_place() {
    Netlink netfilter(Netlink::Bus::kNetfilter);
    return network::is_firewall_in_place(netfilter, config_, network::plan_firewall(config_));
  }
  static std::uint32_t generation() {
    Netlink netfilter(Netlink::Bus::kNetfilter);
    return network::current_generation(netfilter);
  }
  std::uint32_t rules_of(const std::string& chain) {
    for (const network::ChainUse& use : network::plan_firewall(config_).chains) {
      if (use.name == chain) return use.use;
    }
    return 0;
  }
  std::vector<PublishedPort> published() {
    std::vector<PublishedPort> ports;
    for (const Endpoint& endpoint : network::list_published(config_)) {
      ports.insert(ports.end(), endpoint.ports.begin(), endpoint.ports.end());
    }
    return ports;
  }
};

// Runs `action` in `count` processes at once and returns how many of them threw nothing.
int succeed_in_processes(int count, const std::function<void(int)>& action) {
  std::array<int, 2> gate{};
  base::check(pipe(gate.data()), "pipe");
  std::vector<pid_t> children;
  for (int i = 0; i < count; ++i) {
    const pid_t child = base::check(fork(), "fork");
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    close(gate[1]);
    char byte = 0;
    if (read(gate[0], &byte, 1) != 0) _exit(3);  // end of file: everybody starts
    try {
      action(i);
      _exit(0);
    } catch (const base::Error& error) {
      std::fprintf(stderr, "process %d: %s\n", i, error.what());
      _exit(error.kind() == ErrorKind::kConflict ? 1 : 2);
    }
  }
  close(gate[0]);
  close(gate[1]);
  int succeeded = 0;
  for (const pid_t child : children) {
    int status = 0;
    base::check(waitpid(child, &status, 0), "waitpid");
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    succeeded += status == 0 ? 1 : 0;
  }
  return succeeded;
}

TEST_F(Bridge, IsMadeOnceAndThenLeftAlone) {
  network::ensure_bridge(config_);
  EXPECT_TRUE(is_in_place());
  EXPECT_EQ(read_setting(kForward), "1");
  EXPECT_EQ(read_setting(kRouteLocalnet), "1");
  EXPECT_EQ(read_setting("/proc/sys/net/ipv6/conf/sampan0/disable_ipv6"), "1");
  const std::uint32_t before = generation();
  const int index = link_index("sampan0");
  for (int i = 0; i < 3; ++i) network::ensure_bridge(config_);
  EXPECT_EQ(generation(), before);
  EXPECT_EQ(link_index("sampan0"), index);
}

TEST_F(Bridge, EveryDamageIsRepaired) {
  network::ensure_bridge(config_);
  const std::pair<const char*, std::function<void()>> damages[] = {
      {"link down", [] { ASSERT_EQ(std::system("ip link set sampan0 down"), 0); }},
      {"link deleted", [] { ASSERT_EQ(std::system("ip link del sampan0"), 0); }},
      {"address deleted", [] { ASSERT_EQ(std::system("ip addr flush dev sampan0"), 0); }},
      {"forwarding off", [] { write_setting(kForward, "0"); }},
      {"route_localnet off", [] { write_setting(kRouteLocalnet, "0"); }},
      {"all rules gone", [] { ASSERT_EQ(std::system("nft flush ruleset"), 0); }},
      {"table emptied", [] { ASSERT_EQ(std::system("nft flush table inet sampan"), 0); }},
      {"chain emptied", [] { ASSERT_EQ(std::system("nft flush chain inet sampan published"), 0); }},
      {"rule added", [] { ASSERT_EQ(std::system("nft add rule inet sampan forward drop"), 0); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    damage();
    const Machine web = start(1, {tcp(8080)});
    EXPECT_TRUE(is_in_place());
    const UniqueFd server = serve(web.fd(), Protocol::kTcp, kAny, 80);
    EXPECT_TRUE(talk(host_.get(), {Ipv4::parse("127.0.0.1"), 8080}, server));
    network::unpublish(config_, web.endpoint);
    // The pair dies with its namespace a little later; the next container must not meet its name.
    ASSERT_EQ(std::system("ip link del ve00000001000"), 0);
  }
}

TEST_F(Bridge, RepairKeepsPublishedPortsAndAnotherVersionsMarkerGoes) {
  network::ensure_bridge(config_);
  network::publish(config_, endpoint(id_of(1), address_of(1), {tcp(8080)}));
  ASSERT_EQ(std::system("nft flush chain inet sampan forward; "
                        "nft add chain inet sampan layout_0123456789abcdef"),
            0);
  network::ensure_bridge(config_);
  EXPECT_TRUE(is_in_place());
  EXPECT_EQ(published(), std::vector{tcp(8080)});
  EXPECT_NE(std::system("nft list chain inet sampan layout_0123456789abcdef >/dev/null 2>&1"), 0);
}

TEST_F(Bridge, AnotherConfigurationReplacesTheRules) {
  network::ensure_bridge(config_);
  config_.host_filter = network::HostFilter::kObey;
  EXPECT_FALSE(is_in_place());
  network::ensure_bridge(config_);
  EXPECT_TRUE(is_in_place());
  EXPECT_EQ(std::system("nft list chain inet sampan prerouting | grep -q 'iifname @bridges'"), 0);
}

TEST_F(Bridge, AnotherNetworkOfTheStoreAddsElementsAndLeavesTheRulesAlone) {
  network::ensure_bridge(config_);
  BridgeConfig other = config_;
  other.bridge = "br-other";
  other.subnet = Ipv4Subnet::parse("10.209.0.0/16");
  other.gateway = other.subnet.first_host();
  other.internal = true;
  other.subnet6 = network::Ipv6Subnet::parse("fd00:9::/64");
  other.gateway6 = other.subnet6->host(1);
  EXPECT_TRUE(is_in_place());
  network::ensure_bridge(other);
  EXPECT_TRUE(is_in_place());
  const auto has = [](const std::string& set, const std::string& text) {
    return std::system(("nft list set inet sampan " + set + " | grep -q '" + text + "'").c_str()) ==
           0;
  };
  EXPECT_TRUE(has("bridges", "br-other"));
  EXPECT_TRUE(has("internal", "br-other"));
  EXPECT_TRUE(has("subnets", "10.209.0.0/16"));
  EXPECT_TRUE(has("subnets6", "fd00:9::/64"));
  EXPECT_FALSE(has("masqueraded", "10.209.0.0/16"));
  network::remove_network(other);
  EXPECT_FALSE(has("bridges", "br-other"));
  EXPECT_FALSE(has("subnets", "10.209.0.0/16"));
  EXPECT_TRUE(has("subnets", "10.208.0.0/16"));
  EXPECT_EQ(link_index("br-other"), 0);
  network::remove_network(other);  // once more does nothing
}

TEST_F(Bridge, TwoStoresDoNotMeet) {
  network::ensure_bridge(config_);
  BridgeConfig other = config_;
  other.bridge = "sampan1";
  other.table = "sampan_b";
  other.subnet = Ipv4Subnet::parse("10.209.0.0/16");
  other.gateway = other.subnet.first_host();
  network::ensure_bridge(other);
  network::publish(config_, endpoint(id_of(1), address_of(1), {tcp(8080)}));
  EXPECT_TRUE(network::list_published(other).empty());
  network::remove_bridge(other);
  EXPECT_TRUE(is_in_place());
  EXPECT_EQ(link_index("sampan1"), 0);
}

TEST_F(Bridge, ManyProcessesMakeItAtOnce) {
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(succeed_in_processes(8, [&](int) { network::ensure_bridge(config_); }), 8);
    EXPECT_TRUE(is_in_place());  // no rule twice
    network::remove_bridge(config_);
  }
}

TEST_F(Bridge, ManyProcessesConnectAndPublishAtOnce) {
  const int succeeded = succeed_in_processes(8, [&](int process) {
    for (unsigned i = 0; i < 10; ++i) {
      const unsigned number = static_cast<unsigned>(process) * 10 + i + 1;
      const Machine machine = start(number);
      const Endpoint mine = endpoint(id_of(number), address_of(number),
                                     {tcp(static_cast<std::uint16_t>(10000 + number))});
      network::publish(config_, mine);
      if (i % 2 == 0) network::unpublish(config_, mine);
    }
  });
  EXPECT_EQ(succeeded, 8);
  EXPECT_EQ(published().size(), 40U);
}

TEST_F(Bridge, OnePortHasOneOwnerHoweverManyWantIt) {
  network::ensure_bridge(config_);
  const auto grab = [&](int process) {
    const auto number = static_cast<unsigned>(process) + 1;
    network::publish(config_, endpoint(id_of(number), address_of(number), {tcp(8080)}));
  };
  EXPECT_EQ(succeed_in_processes(8, grab), 1);
  EXPECT_EQ(published().size(), 1U);
}

TEST_F(Bridge, RemovalLeavesNothingAndForgivesNothingThere) {
  network::ensure_bridge(config_);
  network::remove_bridge(config_);
  EXPECT_EQ(link_index("sampan0"), 0);
  EXPECT_NE(std::system("nft list table inet sampan >/dev/null 2>&1"), 0);
  network::remove_bridge(config_);
  EXPECT_TRUE(network::list_published(config_).empty());
}

TEST_F(Bridge, ALinkOfThatNameThatIsNoBridgeIsRefused) {
  ASSERT_EQ(std::system("ip link add sampan0 type veth peer name other0"), 0);
  try {
    network::ensure_bridge(config_);
    FAIL() << "took a veth for a bridge";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("create bridge sampan0: "));
  }
}

TEST_F(Bridge, BadConfigurationsAreRefused) {
  const auto refused = [](const BridgeConfig& config) {
    try {
      network::ensure_bridge(config);
      return false;
    } catch (const base::Error& error) {
      return error.kind() == ErrorKind::kInvalid;
    }
  };
  for (const char* name : {"", "..", "a/b", "averyverylongname", "has space"}) {
    BridgeConfig config = config_;
    config.bridge = name;
    EXPECT_TRUE(refused(config)) << name;
  }
  for (const char* gateway : {"10.208.0.0", "10.208.255.255", "10.209.0.1"}) {
    BridgeConfig config = config_;
    config.gateway = Ipv4::parse(gateway);
    EXPECT_TRUE(refused(config)) << gateway;
  }
  BridgeConfig config = config_;
  config.table = std::string(300, 'x');
  EXPECT_TRUE(refused(config));
}

TEST_F(Bridge, HostNetworksAreSeenAndAvoided) {
  network::ensure_bridge(config_);
  ASSERT_EQ(std::system("ip route add 10.209.0.0/20 dev sampan0 table 77; "
                        "ip route add unreachable 10.210.3.0/24; "
                        "ip route add default via 10.208.0.9; "
                        "ip route add 0.0.0.0/1 via 10.208.0.9"),
            0);
  const auto networks = network::list_host_networks();
  const auto has = [&](const char* text) {
    return std::count(networks.begin(), networks.end(), Ipv4Subnet::parse(text)) == 1;
  };
  EXPECT_TRUE(has("10.208.0.0/16"));
  EXPECT_TRUE(has("10.209.0.0/20"));
  EXPECT_TRUE(has("10.210.3.0/24"));
  EXPECT_TRUE(has("127.0.0.0/8"));
  EXPECT_FALSE(has("0.0.0.0/0"));
  EXPECT_FALSE(has("0.0.0.0/1"));
  EXPECT_EQ(network::choose_subnet(networks).str(), "10.211.0.0/16");
}

}  // namespace
}  // namespace network_test
