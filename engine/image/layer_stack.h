// LayerStack: which directories an image is made of, once all its layers are in the store.
#pragma once

#include <vector>

#include "oci/digest.h"
#include "storage/store.h"

namespace engine {

// Keys of the layers' copies for this very stack, bottom first: ChainIDs (image-spec, config.md,
// "Layer ChainID"), but for the lowest, whose ChainID is its DiffID, a hash of that.
std::vector<storage::LayerKey> copy_keys(const std::vector<oci::DiffId>& layers);

// A layer whose directory does not depend on what lies below is used under its DiffId. Of one that
// does, and that needs something over these very layers, a copy is made and published under its
// ChainId. Throws.
std::vector<storage::LayerKey> stack_layers(storage::Store& store,
                                            const std::vector<oci::DiffId>& layers);

}  // namespace engine
