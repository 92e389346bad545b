// LayerFetch: one layer from its registry into the store, shared with other processes that want it
// too.
#pragma once

#include <functional>

#include "engine/image/progress.h"
#include "engine/image/shared_store.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "registry/remote/remote_client.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {

struct LayerTask {
  oci::Descriptor blob;
  oci::DiffId diff_id;
};

struct FetchContext {
  registry::RemoteClient& client;
  const oci::Reference& repository;
  SharedStore& store;
  Progress& progress;
  const std::function<bool()>& is_cancelled;
  const storage::UnpackLimits& limits;
  bool keep_blobs = true;
  bool allow_foreign_urls = false;
};

// Returns once the layer is published under its DiffId, by us or by somebody else who had begun
// earlier. Throws with "layer <12 digits>: " in front; then nothing of it is left.
void fetch_layer(const FetchContext& context, const LayerTask& task);

}  // namespace engine
