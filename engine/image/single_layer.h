// SingleLayer: an image of one layer from a tar stream that has no description of its own: a
// directory, an imported archive.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "engine/image/archive_load.h"
#include "oci/image_config.h"
#include "oci/reference.h"
#include "storage/store.h"

namespace engine {

// Gives the tar's bytes in order to what it is handed; each time the same ones.
using TarBytes = std::function<void(const std::function<void(std::string_view)>&)>;

struct SingleLayerImage {
  oci::ImageConfig config;  // complete but for the layer
  std::optional<oci::Reference> name;
  std::string_view action;  // of the event
};

// Reads the stream once for its digest, and once more where the store does not have the layer.
LoadedImage add_single_layer(storage::Store& store, const TarBytes& tar,
                             const SingleLayerImage& image, const LoadOptions& options);

}  // namespace engine
