// hosts.toml: which servers containerd asks for one registry (containerd, docs/hosts.md).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "registry/registry_config.h"

namespace registry {

// Gives the content of a file that is named relative to the one that names it. May throw.
using ReadFile = std::function<std::string(const std::string&)>;

// Throws kInvalid with the line.
HostsFile parse_hosts_toml(std::string_view text, const ReadFile& read);

}  // namespace registry
