// ImageRow: an image as the store's row has it, once all its layers are there.
#pragma once

#include <string>

#include "oci/image_config.h"
#include "oci/manifest.h"
#include "storage/store.h"

namespace engine {

struct ImageDocuments {
  oci::Digest manifest_digest;
  std::string manifest_bytes, config_bytes;
  const oci::ImageConfig& config;  // the same, parsed
};

// Chooses the layers' directories (layer_stack.h). The id is the digest of the config's bytes,
// which the caller has verified or computed: `config_digest`.
storage::ImageRow make_image_row(storage::Store& store, const ImageDocuments& documents,
                                 const oci::Digest& config_digest);

}  // namespace engine
