// PortReservation: host ports that a container publishes, taken from the host's own programs.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/options.h"
#include "network/bridge.h"

namespace engine {

struct PortReservation {
  std::vector<network::PublishedPort> ports;  // every host port known
  std::vector<base::UniqueFd> sockets;        // they keep others from using it
};

// Binds each host port (and listens, where it is TCP), so that a port that is taken is seen at
// once, and picks a free one where the host port is 0. Packets never reach these sockets: they are
// translated before. Throws kConflict with docker's words.
PortReservation reserve_ports(const std::vector<PortOption>& wanted);

}  // namespace engine
