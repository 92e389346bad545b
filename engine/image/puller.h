// Puller: the life of a pull: registry streams become layers, all at the same time, and one
// transaction makes the image exist.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "oci/manifest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/remote/remote_client.h"
#include "storage/store.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {

struct PullEvent {
  enum class Kind { kResolved, kLayerExists, kDownloading, kUnpacking, kLayerDone, kRetrying } kind;
  std::string layer;                     // 12 digits of the blob's digest
  std::uint64_t current = 0, total = 0;  // compressed bytes
  std::string text;
};

struct PullOptions {
  oci::Platform platform;
  registry::Client::PlatformChoice choice = registry::Client::PlatformChoice::kHostDefault;
  storage::UnpackLimits limits;
  std::uint64_t manifest_bytes = oci::kMaxManifestBytes;
  bool keep_blobs = true;  // as files in blobs/sha256, once they are layers
  // Layers that their registry does not have (foreign layers) may come from the addresses in the
  // manifest.
  bool allow_foreign_urls = false;
  unsigned parallel = 6;
};

struct PullResult {
  oci::ImageId image;
  oci::Digest digest;    // of what the name names
  bool changed = false;  // "Downloaded newer image" rather than "Image is up to date"
  std::string warning;   // one line, or empty
};

// `on_event` is called from several threads, one at a time.
PullResult pull(storage::Store& store, registry::RemoteClient& client,
                const oci::Reference& reference, const PullOptions& options,
                const std::function<void(const PullEvent&)>& on_event);

}  // namespace engine
