// ImageCheck: whether what a registry describes is an image that can be made into containers.
#pragma once

#include "oci/image_config.h"
#include "registry/client.h"

namespace engine {

// The config, parsed. What resolve() does not look at: throws kUnsupported for images of other
// operating systems and for more layers than an overlay takes.
oci::ImageConfig check_image(const registry::ResolvedImage& image);

}  // namespace engine
