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
  std::string cni;  // the configuration list of a CNI network; then `link` says nothing
};

struct NetworkState {
  std::vector<Attachment> attachments;
  // The one that publishes ports: the first with a way out; null where there is none.
  Attachment* publisher();
  const Attachment* publisher() const;
  const Attachment* find(std::string_view network) const;
};

std::string render_network_state(const NetworkState& state);
NetworkState parse_network_state(std::string_view json);  // {} for an empty text

}  // namespace engine
