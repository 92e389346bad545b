// commit(): a container's changes become a layer in the store and, with the config that the engine
// has planned, an image.
#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include "oci/digest.h"
#include "oci/image_config.h"
#include "storage/store.h"

namespace engine {

struct CommitJob {
  int upper_fd = -1, lower_fd = -1;  // the container's directory and its image's merged layers
  std::set<std::string> hidden;      // paths that are the engine's
  storage::ImageRow parent;
  oci::ImageConfig config;  // complete but for the new layer
  std::string name;         // empty: none
  std::int64_t latest_time = std::numeric_limits<std::int64_t>::max();  // of files, in seconds
};

// The layer's tar is spooled to a nameless file first, since its DiffID is needed to verify the
// directory that the unpacker makes of it: the same way in as for a layer that was pulled, and
// nothing is shared with the container's own files. Without changes the image has its parent's
// layers. A kill leaves at most a layer that a sweep removes.
oci::ImageId commit(storage::Store& store, const CommitJob& job);

// The manifest of the new image: the parent's with the config and, if there is one, the layer
// replaced or added, in its own words (OCI's or docker's).
struct NewLayer {
  oci::DiffId diff_id;
  std::uint64_t size = 0;  // of the tar, which is its own blob
};
std::string render_child_manifest(std::string_view parent, std::string_view config,
                                  const NewLayer* layer);

}  // namespace engine
