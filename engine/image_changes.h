// Image changes: the Dockerfile instructions of `commit --change` applied to an image's config.
#pragma once

#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/image_config.h"

namespace engine {

// CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, USER, VOLUME and WORKDIR; pure. Throws kInvalid
// with docker's words.
void apply_change(const std::string& instruction, oci::ImageConfig& config);

// "8000-8010/udp" as ports, each "8000/udp". Throws kInvalid with docker's words.
std::vector<std::string> parse_exposed_ports(const std::string& text);

// The image's config with what the container was told besides: command, environment, user, ports,
// volumes, labels; pure.
oci::ImageConfig config_of_container(oci::ImageConfig image, const ContainerOptions& options);

}  // namespace engine
