// The default bridge network: its row, made on first use, and what a container has of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/options.h"
#include "network/bridge.h"
#include "storage/store.h"

namespace engine {

inline constexpr char kBridgeNetwork[] = "bridge";

// Names of bridge and table for a store: "sampan0" and "sampan" for the default root, else with a
// hash of the root, so that two stores in one network namespace never share them; pure.
network::BridgeConfig plan_bridge_names(const std::filesystem::path& root);

// The default network's, where it has been made.
std::optional<network::BridgeConfig> find_bridge(storage::Store& store);
// Chooses a subnet that collides with nothing and inserts the row where there is none yet.
storage::NetworkRow load_or_make_bridge_row(storage::Store& store, const Config& config);
// What that would make; changes nothing.
storage::NetworkRow plan_bridge_row(storage::Store& store, const Config& config);

// Ports of -p, and with -P those that the image exposes. Host ports may still be 0; throws
// kInvalid.
std::vector<PortOption> plan_ports(const ContainerOptions& options,
                                   const std::vector<std::string>& exposed);

const char* protocol_name(network::Protocol protocol);  // "tcp"
PortOption parse_exposed_port(std::string_view text);   // "80/tcp", "80"

}  // namespace engine
