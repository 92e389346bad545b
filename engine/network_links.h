// Network links: a container's networks without the ports that are published there.
#pragma once

#include <string_view>

#include "engine/network_state.h"

namespace engine {

// As parse_network_state(), for what every command reads: of a container with a thousand ports the
// text is long, and they are passed over.
NetworkState parse_network_links(std::string_view json);

}  // namespace engine
