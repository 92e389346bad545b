// LayerFile: one layer from a file of an archive into the store, shared with other processes that
// want it too.
#pragma once

#include <functional>
#include <vector>

#include "engine/image/progress.h"
#include "engine/image/shared_store.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {

struct LayerFileTask {
  oci::Descriptor blob;
  oci::DiffId diff_id;
  // Gives the blob's bytes in order to what it is handed.
  std::function<void(const std::function<void(std::string_view)>&)> read;
};

struct LayerFileOptions {
  unsigned parallel = 2;
  storage::UnpackLimits limits;
  bool keep_blobs = true;  // of compressed layers, once they are unpacked
};

// Unpacks those that are not in the store, `parallel` at a time, each verified against both its
// digests and published under its DiffId. The first failure ends all and is thrown, with "layer <12
// digits>: " in front. The caller holds hold_layers().
void unpack_layer_files(storage::Store& store, std::vector<LayerFileTask> tasks,
                        const LayerFileOptions& options, Progress& progress);

}  // namespace engine
