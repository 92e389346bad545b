// Pusher: an image of the store into a repository, with the bytes that it was pulled with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/image/push_blobs.h"
#include "oci/reference.h"
#include "registry/remote/remote_client.h"
#include "storage/store.h"

namespace engine {

struct PushEvent {
  enum class Kind {
    kPreparing,  // of each layer at the start, the uppermost first
    kExists,
    kMounted,  // `text`: from which repository
    kPushing,
    kPushed,
    kSkipped,  // may not be distributed
  } kind = Kind::kPreparing;
  std::string layer;                     // 12 digits of the layer's DiffID, as docker shows it
  std::uint64_t current = 0, total = 0;  // compressed bytes
  std::string text;
};

enum class PushScope {
  kAll,          // the index that the image came with, where all of it can be there
  kOnePlatform,  // the image's manifest in any case
};

struct PushOptions {
  PushScope scope = PushScope::kAll;
  unsigned parallel = 5;
  std::uint64_t chunk_bytes = 0;  // of a request; 0: a blob at once
  MadeBlobs* made = nullptr;      // of prepare_push()
};

struct PushResult {
  oci::Digest digest;                // of what the tag names now
  std::string manifest, media_type;  // that
  std::string note;                  // what the user should know; or empty
};

// Layers first, all at the same time, then the config, then the manifest. What is there is not
// sent; what another repository of that registry has is taken from there. The manifest goes as it
// came, so that its digest stays, unless a layer's blob is gone from here and from where it came
// from: then that layer is compressed anew. An image that came with an index takes it along, byte
// for byte, where each of its platforms is here or at the target. `on_event` is called from several
// threads, one at a time.
PushResult push(storage::Store& store, registry::RemoteClient& client,
                const storage::ImageRow& image, const oci::Reference& target,
                const PushOptions& options, const std::function<void(const PushEvent&)>& on_event);

// Makes what a push of this image can only make by starting another program, for a process that is
// about to give that up.
void prepare_push(storage::Store& store, registry::RemoteClient& client,
                  const storage::ImageRow& image, const oci::Reference& target,
                  const PushOptions& options, MadeBlobs& made);

// Registries that a push of this image may ask for blobs beside the target's: those that it came
// from.
std::vector<std::string> list_origins(storage::Store& store, const storage::ImageRow& image);

}  // namespace engine
