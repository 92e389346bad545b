// Config message: a RegistryConfig as values of a payload, for a process that may not read the
// files.
#pragma once

#include "registry/registry_config.h"
#include "registry/remote/channel.h"

namespace registry {

void write_config(FieldWriter& writer, const RegistryConfig& config);
RegistryConfig read_config(FieldReader& reader);

}  // namespace registry
