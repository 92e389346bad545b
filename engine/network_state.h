// NetworkState: what a container that starts or runs has of its networks; kept as JSON in its row
// (ContainerRow::ports) and in <state>/<id>/network.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "network/bridge.h"

namespace engine {

struct Attachment {
  std::string network;     // its name
  std::string network_id;  // 64 digits
  network::BridgeConfig link;
  network::Endpoint endpoint;  // of one of them: the ports
  std::vector<std::string> aliases;
  std::int64_t gateway_priority = 0;
  std::string cni;  // the configuration list of a CNI network; then `link` says nothing
  // Into our table of the firewall, or out of it. The ports of a CNI network are not in it: its
  // plugins translate them, or the monitor relays them all.
  void publish(const network::Endpoint& what) const;
  void unpublish(const network::Endpoint& what) const;
};

struct NetworkState {
  std::vector<Attachment> attachments;
  // Where packets go that are for none of its networks: of the networks with a way out the first
  // with the highest priority; null where there is none.
  Attachment* gateway();
  // The one that publishes ports, chosen like the gateway from those that can: answers must leave
  // by the way that the questions came.
  Attachment* publisher();
  const Attachment* publisher() const;
  // The same if what it publishes is in our table of the firewall.
  const Attachment* translated() const;
  const Attachment* find(std::string_view network) const;
};

std::string render_network_state(const NetworkState& state);
NetworkState parse_network_state(std::string_view json);  // {} for an empty text

}  // namespace engine
