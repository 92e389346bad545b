// Config files: where containerd, docker, podman and sampan keep what they know about registries.
#pragma once

#include <filesystem>
#include <vector>

#include "registry/registry_config.h"

namespace registry {

struct ConfigPaths {
  // Each with a folder "<host>[:port]" (or "<host>_<port>_") a registry; the first that has one
  // wins.
  std::vector<std::filesystem::path> certificate_folders;
  // Each after those that it overrides; "<path>.d/*.conf" after the file itself.
  std::vector<std::filesystem::path> registries_conf;
  // Whose short names count as well: others' only tell mirrors and servers, since docker's users
  // expect "fedora" to be docker.io's.
  std::vector<std::filesystem::path> short_names_from;
};

// Below /etc and the caller's own folders: $SAMPAN_CERTS_D, $CONTAINERS_REGISTRIES_CONF.
ConfigPaths default_config_paths();

// Reads what is there; missing files and folders are no error, broken ones become
// RegistryConfig::errors. With the caller's rights: client keys are often its own.
RegistryConfig load_registry_config(const ConfigPaths& paths);

}  // namespace registry
