// HostFacts gathering: devices, limits and files that a spec depends on, read from this host.
#pragma once

#include "engine/options.h"
#include "engine/spec.h"

namespace engine {

// Throws kInvalid or kNotFound where a device or a profile that the options name is not there.
HostFacts gather_host_facts(const ContainerOptions& options);

// The host's resolv.conf; systemd-resolved's own list where the file only names its stub.
std::string read_host_resolv_conf();

// A program that is installed beside ours: sampan-pull, sampan-init.
fs::path program_beside_us(const char* name);

}  // namespace engine
