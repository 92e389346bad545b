// Process plan: the container's arguments and environment from image and options, as docker merges
// them; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/options.h"
#include "oci/image_config.h"

namespace engine {

// Entrypoint and command. An entrypoint of the user's makes the image's command void, as a command
// of the user's does. Throws kInvalid "no command specified".
std::vector<std::string> plan_arguments(const oci::ImageConfig& image,
                                        const ContainerOptions& options);

// PATH, HOSTNAME and TERM first, then those of links, then the user's variables, then those of the
// image that nobody has set, HOME last. An entry of the user's without '=' takes the variable away.
std::vector<std::string> plan_environment(const oci::ImageConfig& image,
                                          const ContainerOptions& options,
                                          const std::vector<std::string>& links,
                                          std::string_view hostname, std::string_view home);

// `base` with the entries of `changes` set over it; without '=': taken away.
std::vector<std::string> merge_environment(std::vector<std::string> base,
                                           const std::vector<std::string>& changes);

std::string find_variable(const std::vector<std::string>& environment, std::string_view name);

}  // namespace engine
