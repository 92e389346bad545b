// OverlayPlan: which directories an overlay is made of; pure, the runtime mounts it.
#pragma once

#include <filesystem>
#include <vector>

#include "storage/store.h"

namespace storage {

struct OverlayPlan {
  std::vector<fs::path> lower;  // topmost first
  fs::path upper, work;         // below the container's directory
};

// Throws kInvalid above 500 layers.
OverlayPlan plan_overlay(const Store& store, const std::vector<LayerKey>& layers,
                         const fs::path& container_dir);

}  // namespace storage
