// Gzip layer: a layer of the store as a new gzip file, for a registry that never had it.
#pragma once

#include "oci/digest.h"
#include "storage/store.h"

namespace engine {

struct GzipLayer {
  oci::Digest digest;
  std::uint64_t size = 0;
};

// Writes it to `fd`. The same layer gives the same bytes, but hardly those that it was pulled as.
// The caller sees to it that the layer stays. Throws as storage::write_layer_tar does.
GzipLayer write_gzip_layer(const storage::Store& store, const oci::DiffId& layer, int fd);

}  // namespace engine
