// Firewall: the one nftables table of a store, as an idempotent transaction, and its verification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network/bridge.h"
#include "network/netlink.h"

namespace network {

// The maps that hold published ports. {address . protocol . port : address . port} and
// {protocol . port : address . port}; the second is for 0.0.0.0. Then the same for IPv6.
inline constexpr std::string_view kPortsOfAddress = "ports_of_address";
inline constexpr std::string_view kPortsOfAnyAddress = "ports_of_any_address";
inline constexpr std::string_view kPortsOfAddress6 = "ports_of_address6";
inline constexpr std::string_view kPortsOfAnyAddress6 = "ports_of_any_address6";
// What the rules know of networks, so that a network adds elements, and no rules.
inline constexpr std::string_view kBridges = "bridges";
inline constexpr std::string_view kWithin = "within";  // a bridge and itself
inline constexpr std::string_view kInternal = "internal";
inline constexpr std::string_view kSubnets = "subnets";
inline constexpr std::string_view kSubnets6 = "subnets6";
inline constexpr std::string_view kMasqueraded = "masqueraded";
inline constexpr std::string_view kMasqueraded6 = "masqueraded6";

// A chain without rules whose name is this and a fingerprint of everything else.
inline constexpr std::string_view kMarkerPrefix = "layout_";

struct ChainUse {
  std::string name;
  std::uint32_t use = 0;  // what the kernel counts: its rules, and the jumps to it
};

struct Firewall {
  std::vector<Step> steps;       // makes the table or repairs it; keeps the maps' elements
  std::vector<ChainUse> chains;  // how to recognise that it is all there
};
// Pure; of the table's name and the host filter alone. The last chain is the marker: another
// version of this program, or another configuration, has another one.
Firewall plan_firewall(const BridgeConfig& config);

// One look at every chain, no dump.
bool is_firewall_in_place(Netlink& netfilter, const BridgeConfig& config, const Firewall& firewall);
// In one transaction, with these elements; an element that can't be, since it is another's, is left
// out.
void apply_firewall(Netlink& netfilter, const BridgeConfig& config, const Firewall& firewall,
                    std::vector<Step> elements = {});
void remove_firewall(Netlink& netfilter, const BridgeConfig& config);

// The number of the last transaction: what try_commit() takes as `generation`.
std::uint32_t current_generation(Netlink& netfilter);

}  // namespace network
