// NetworkFlags: the flags of `run` and `create` that say on which networks a container is, and how.
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"
#include "engine/options.h"

namespace cli {

class NetworkFlags {
 public:
  std::vector<Flag> flags();
  // Throws kInvalid with docker's words.
  void apply(engine::ContainerOptions& options) const;

 private:
  std::vector<std::string> networks_, aliases_, links_, link_local_;
  std::string address_, address6_, mac_;
};

// "NAME", docker's "name=NAME,alias=A,ip=…" or podman's "NAME:ip=…,alias=…".
engine::NetworkOption parse_network(const std::string& text);

}  // namespace cli
