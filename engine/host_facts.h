// HostFacts gathering: devices, limits and files that a spec depends on, read from this host.
#pragma once

#include "engine/options.h"
#include "engine/spec.h"

namespace engine {

// Throws kInvalid or kNotFound where a device or a profile that the options name is not there.
HostFacts gather_host_facts(const ContainerOptions& options);

// Puts the content of a --security-opt seccomp=FILE in the place of its name: the file is read when
// the container is created, from where its creator stands, and may go afterwards. Throws kInvalid
// for what is no profile.
void load_seccomp_files(std::vector<std::string>& security_options);

// What `create` tells about options that this host can't give a meaning to; docker says nothing.
std::vector<std::string> warn_of_security(const std::vector<std::string>& security_options);

// The host's resolv.conf; systemd-resolved's own list where the file only names its stub.
std::string read_host_resolv_conf();

// A program that is installed beside ours: sampan-image, sampan-init.
fs::path program_beside_us(const char* name);

}  // namespace engine
