// NetworkSettings: what a network's row says, beyond its name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "engine/engine.h"
#include "network/bridge.h"
#include "storage/store.h"

namespace engine {

struct NetworkSettings {
  network::BridgeConfig link;
  std::optional<network::Ipv4Subnet> range;  // addresses are given from here; none: all of it
  std::optional<network::Ipv6Subnet> range6;
  std::map<std::string, std::string> reserved;  // --aux-address, by name
  std::map<std::string, std::string> options;   // as they were given
  std::string host_address;                     // of ports that name none
  bool attachable = false;
  std::string cni;  // configuration list
};

nlohmann::json link_json(const network::BridgeConfig& link);
network::BridgeConfig parse_link(const nlohmann::json& json);

std::string render_network_settings(const NetworkSettings& settings);
NetworkSettings parse_network_settings(const storage::NetworkRow& row, const Config& config);

// Requests for an address of each family that the network has; `wanted` may be empty.
std::vector<storage::LeaseRequest> plan_leases(const std::string& network,
                                               const NetworkSettings& settings,
                                               const std::string& wanted,
                                               const std::string& wanted6);

}  // namespace engine
