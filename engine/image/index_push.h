// Index push: what a multi-platform name takes to go back as it came.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/image/push_blobs.h"
#include "oci/manifest.h"
#include "storage/indexes.h"

namespace engine {

struct PlannedIndex {
  oci::Digest digest;
  std::string bytes, media_type;
};

struct IndexPlan {
  PlannedIndex index;
  std::vector<PlannedIndex>
      inner;  // that it contains and the target does not have; innermost first
  std::vector<storage::ImageRow> images;  // its other platforms that are here
  // Neither here nor at the target, but no platform either: attestations and the like.
  std::vector<oci::Descriptor> companions;
  bool is_complete = true;  // false: a platform is neither here nor at the target
};

// nullopt where the image came without an index.
std::optional<IndexPlan> plan_index_push(SharedStore& shared, registry::RemoteClient& client,
                                         const storage::ImageRow& image,
                                         const oci::Reference& target);

// Copies a manifest and its blobs from where the image came from. False where that can't be done.
bool copy_companion(PushBlobs& blobs, registry::RemoteClient& client,
                    const oci::Descriptor& companion, const storage::ImageRow& image,
                    const oci::Reference& target);

}  // namespace engine
