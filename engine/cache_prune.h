// Cache prune: which images, containers and volumes nobody uses, and their removal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "storage/store.h"

namespace engine {

// docker's --filter of the prune commands.
struct PruneFilter {
  std::optional<base::Nanoseconds> until;           // only what was made before
  std::vector<std::string> labels, without_labels;  // "key" or "key=value"
};
// "until=24h", "label=stage=test", "label!=keep". Throws kInvalid for others. Relative to `now`.
PruneFilter parse_prune_filter(const std::vector<std::string>& filters, base::Nanoseconds now);

struct PruneReport {
  std::vector<std::string> containers, networks, volumes, untagged, images, blobs;
  std::uint64_t bytes = 0;  // that became free
  void add(PruneReport other);
};

enum class PruneWhich { kDangling, kAll };
enum class PruneMode { kRemove, kDryRun };

// Images to prune: without containers and, with kDangling, without a tag. Pure.
std::vector<oci::ImageId> plan_image_prune(const std::vector<storage::ImageRow>& images,
                                           const std::vector<storage::ImageName>& names,
                                           const std::vector<storage::ContainerRow>& containers,
                                           PruneWhich which, const PruneFilter& filter);

// Each removes what it finds, or with kDryRun only says what it would. What came into use meanwhile
// stays. Directories go to the trash: the caller starts the janitor.
PruneReport prune_images(Engine& engine, PruneWhich which, const PruneFilter& filter,
                         PruneMode mode);
PruneReport prune_containers(Engine& engine, const PruneFilter& filter, PruneMode mode);
// Networks of the user's that no container is on, running or not.
PruneReport prune_unused_networks(Engine& engine, const PruneFilter& filter, PruneMode mode);
// kDangling: only anonymous ones, as docker.
PruneReport prune_volumes(Engine& engine, PruneWhich which, const PruneFilter& filter,
                          PruneMode mode);
// Blobs that can be made or fetched again.
PruneReport prune_blobs(Engine& engine, PruneMode mode);

}  // namespace engine
