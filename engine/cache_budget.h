// Cache budget: how large and how old what nobody uses may become.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace engine {

struct CacheBudget {
  std::uint64_t max_bytes = 0;        // of layers and blobs; 0: any
  base::Nanoseconds max_age = 0;      // since the last use; 0: any
  bool remove_tagged_unused = false;  // else only what no tag points to
  bool is_set() const { return max_bytes > 0 || max_age > 0; }
};

// What the rows say that layers and kept blobs take.
std::uint64_t cache_bytes(storage::Store& store);

// Images that have to go for the budget, least recently used first, after blobs have gone: those
// too old, and as many as free `bytes`. Pure.
struct ImageUse {
  oci::ImageId id;
  base::Nanoseconds used = 0;
  bool has_tag = false, has_container = false;
  std::uint64_t bytes = 0;  // that its removal frees at least
};
std::vector<oci::ImageId> plan_budget(std::vector<ImageUse> images, const CacheBudget& budget,
                                      std::uint64_t bytes, base::Nanoseconds now);

// Starts the janitor where the rows say that the budget is exceeded, or something may be too old;
// costs two sums otherwise.
void start_janitor_for(const Config& config, const CacheBudget& budget);
// The janitor's part: blobs, then images without a tag, then, where the budget says so, others.
// One process at a time; never what a container uses.
void keep_budget(const Config& config, const CacheBudget& budget);

// The budget as arguments of the janitor, and back.
std::vector<std::string> render_budget(const CacheBudget& budget);
CacheBudget parse_budget(const std::vector<std::string>& words);  // throws kInvalid

}  // namespace engine
