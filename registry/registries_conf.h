// registries.conf: mirrors, locations and short names as podman reads them
// (containers-registries.conf(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "registry/registry_config.h"

namespace registry {

// Version 2; throws kInvalid with the line, also for version 1, which podman no longer writes.
RegistriesConf parse_registries_conf(std::string_view text);

// What `name`, as a user wrote it, may stand for, in the order in which it is to be tried: itself
// where it names a registry; else its alias, or one name for each search registry, else
// docker.io's. Nobody is asked, whatever `short-name-mode` says. Tags and digests are kept.
std::vector<std::string> expand_short_name(const RegistriesConf& conf, const std::string& name);

}  // namespace registry
