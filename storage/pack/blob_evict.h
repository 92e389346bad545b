// Blob eviction: kept blobs go, least recently used first, where they can be made or fetched again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "storage/store.h"

namespace storage {

struct EvictRequest {
  bool all = false;
  bool dry_run = false;                // only says what would go; searches no recipes
  std::uint64_t bytes = 0;             // until so much is free
  base::Nanoseconds unused_since = 0;  // besides, what was not used from then on
};

struct EvictResult {
  std::vector<std::string> evicted;  // 64 digits of the digest
  std::uint64_t bytes = 0;           // that became free
  std::size_t staying = 0;           // blobs that nothing would bring back
};

// First those that the layer gives back (find_recipe(); what is found is remembered in the row),
// then those that a registry has. Holds the layers meanwhile.
EvictResult evict_blobs(Store& store, const EvictRequest& request);

}  // namespace storage
