// Words and parts that inspect documents are made of; pure.
#pragma once

#include <string>
#include <vector>

#include "engine/bundle.h"
#include "oci/runtime_spec.h"
#include "storage/store.h"

namespace engine {

const char* status_word(storage::ContainerStatus status);  // "running"

// Config.Env as docker keeps it: the user's, then the image's that the user has not set.
std::vector<std::string> config_environment(const oci::ImageConfig& image,
                                            const ContainerOptions& options);

// The parts of the spec that depend on image and options alone: arguments, names, limits, paths. An
// image that lost its user file can still be inspected.
oci::RuntimeSpec describe_spec(const BundleInput& input);

}  // namespace engine
