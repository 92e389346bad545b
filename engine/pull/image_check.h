// ImageCheck: whether what a registry describes is an image that can be made into containers.
#pragma once

#include "oci/image_config.h"
#include "registry/client.h"

namespace engine {

// The config, parsed. Throws kUnsupported for artifacts that are no image and for images of other
// operating systems, kInvalid where config and manifest do not belong together.
oci::ImageConfig check_image(const registry::ResolvedImage& image);

}  // namespace engine
