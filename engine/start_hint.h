// Start hints: why a program that is there may not be executed.
#pragma once

#include <string>

#include "base/error.h"
#include "oci/runtime_spec.h"

namespace engine {

// The same error; a bare "permission denied" gets its reason put behind it, as far as the mounts of
// the spec and of this host tell.
base::Error explain_refusal(const oci::RuntimeSpec& spec, const base::Error& error);

}  // namespace engine
