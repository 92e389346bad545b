// PortReservation: host ports that a container publishes, taken from the host's own programs.
#pragma once

#include <vector>

#include "base/unique_fd.h"
#include "network/bridge.h"

namespace engine {

// A port and the socket that keeps it. What the firewall's table does not translate arrives there,
// and is relayed: IPv6 to a container without, ::1, and what the host's own filter let through
// where it is to be obeyed.
struct ReservedPort {
  network::PublishedPort port;
  base::UniqueFd socket;  // none: SCTP without the module
};

struct PortReservation {
  std::vector<ReservedPort> reserved;
  std::vector<network::PublishedPort> ports() const;
};

// Binds each host port (and listens, where it is TCP), so that a port that is taken is seen at
// once, and picks a free one where the host port is 0: the same for the two families of one
// container port. A host without IPv6 has no [::]. Throws kConflict with docker's words.
PortReservation reserve_ports(const std::vector<network::PublishedPort>& wanted);

}  // namespace engine
