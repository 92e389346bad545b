// Limits, namespaces and mounts as docker's inspect document has them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/options.h"
#include "oci/runtime_spec.h"
#include "storage/store.h"

namespace engine {

// Fields of HostConfig.
void add_resources(const ContainerOptions& options, const oci::RuntimeSpec& spec,
                   nlohmann::ordered_json& host_config);
void add_isolation(const ContainerOptions& options, nlohmann::ordered_json& host_config);

nlohmann::ordered_json describe_mounts(storage::Store& store, const ContainerOptions& options);

}  // namespace engine
