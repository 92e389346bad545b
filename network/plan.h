// Plans that more than one file of this room carries out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "network/bridge.h"

namespace network {

struct Setting {
  std::filesystem::path file;  // below /proc/sys/net, which shows the current network namespace
  std::string value;
  bool is_optional = false;  // a kernel without IPv6 has no such file
  Step step() const;         // "write 1 to /proc/sys/net/ipv4/ip_forward"
};
std::vector<Setting> bridge_settings(const BridgeConfig& config);
Setting container_setting(const Endpoint& endpoint);
// Writes only where the value is another.
void apply_setting(const Setting& setting);

// Those of its ports that the table translates; what it leaves alone ends at the sockets that
// hold the ports, and whoever holds those relays it: IPv6 to a container without, and [::1].
std::vector<PublishedPort> translated_ports(const Endpoint& endpoint);
std::vector<Step> publish_steps(const BridgeConfig& config, const Endpoint& endpoint);

}  // namespace network
