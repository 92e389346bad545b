// Elements: published ports as nftables map elements, written and read back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "network/bridge.h"
#include "network/message.h"

namespace network {

struct PublishedElement {
  std::string owner;  // the container's id, kept as the element's comment
  IpAddress container_address;
  PublishedPort port;
};

// "map 0.0.0.0:8080/tcp to 10.88.0.2:80". Adding an element that is there with the same target does
// nothing; with another target the kernel refuses with EBUSY or EEXIST.
Step add_element_step(const BridgeConfig& config, const PublishedElement& element);
// By its key alone.
Step delete_element_step(const BridgeConfig& config, const PublishedElement& element);

Bytes find_element_request(const BridgeConfig& config, const PublishedPort& port);
std::vector<Bytes> list_elements_requests(const BridgeConfig& config);  // one dump for each map
std::vector<PublishedElement> parse_elements(const Bytes& message);

// What the sets have of one network. Adding twice does nothing; what goes must be there.
std::vector<Step> add_network_steps(const BridgeConfig& config);
std::vector<Step> delete_network_steps(const BridgeConfig& config);
std::vector<Bytes> find_network_requests(const BridgeConfig& config);

// "0.0.0.0:8080/tcp"
std::string describe(const PublishedPort& port);

}  // namespace network
