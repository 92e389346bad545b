// Links: what --link gives a container of another one on the default network, as docker's do.
#pragma once

#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/image_config.h"

namespace storage {
class Store;
}

namespace engine {

struct Link {
  std::string alias, address;  // of the one that is linked to
  std::string id, name;
  std::vector<PortOption> ports;  // what it exposes, in the order of their numbers, tcp first
  std::vector<std::string> environment;  // that its image and its user gave it
};

// Those on the default network; on others a name is found by asking. Throws kInvalid where there is
// no such container or it does not run.
std::vector<Link> find_links(storage::Store& store, const ContainerOptions& options);

// A line of /etc/hosts.
std::string render_link(const Link& link);

// DB_PORT, DB_PORT_80_TCP_ADDR and their like, for a container named `name`.
std::vector<std::string> link_environment(const Link& link, const std::string& name);

}  // namespace engine
