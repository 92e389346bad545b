// choose_subnet(): which network a store gets beside what the host has.
#include <gtest/gtest.h>

#include "base/error.h"
#include "network/bridge.h"

namespace network {
namespace {

std::string chosen_beside(std::initializer_list<const char*> taken) {
  std::vector<Ipv4Subnet> networks;
  for (const char* text : taken) networks.push_back(Ipv4Subnet::parse(text));
  return choose_subnet(networks).str();
}

TEST(ChooseSubnet, KeepsAwayFromDockerAndPodman) {
  EXPECT_EQ(chosen_beside({}), "10.208.0.0/16");
  EXPECT_EQ(chosen_beside({"172.17.0.0/16", "10.88.0.0/16", "192.168.1.0/24"}), "10.208.0.0/16");
}

TEST(ChooseSubnet, TakesTheNextFreeOne) {
  EXPECT_EQ(chosen_beside({"10.208.7.1/32"}), "10.209.0.0/16");
  EXPECT_EQ(chosen_beside({"10.208.0.0/15", "10.210.0.0/24"}), "10.211.0.0/16");
}

TEST(ChooseSubnet, LeavesTheTenNetworkToACompany) {
  EXPECT_EQ(chosen_beside({"10.0.0.0/8"}), "172.31.0.0/16");
  EXPECT_EQ(chosen_beside({"10.0.0.0/8", "172.24.0.0/13"}), "172.23.0.0/16");
  EXPECT_EQ(chosen_beside({"10.0.0.0/8", "172.16.0.0/12", "192.168.255.0/24"}), "192.168.254.0/24");
  EXPECT_EQ(chosen_beside({"10.192.0.0/11", "172.16.0.0/12", "192.168.0.0/16"}), "10.224.0.0/24");
}

TEST(ChooseSubnet, SaysSoWhenNothingIsLeft) {
  try {
    chosen_beside({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"});
    FAIL() << "chose a network that is in use";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kConflict);
  }
}

}  // namespace
}  // namespace network
