// Descriptors as JSON (image-spec, descriptor.md): for this folder's parsers only.
#pragma once

#include <optional>

#include "oci/json_value.h"
#include "oci/manifest.h"

namespace oci {

// Throws kInvalid where anything is malformed or the digest is not SHA-256.
Descriptor parse_descriptor(const JsonValue& value);

// As parse_descriptor; nullopt where the digest is well formed but of another algorithm.
std::optional<Descriptor> find_descriptor(const JsonValue& value);

// "os", "architecture" and "variant" of `value`, normalised.
Platform parse_platform(const JsonValue& value);

}  // namespace oci
