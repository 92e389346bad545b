#include "storage/overlay.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "oci/manifest.h"

namespace storage {

OverlayPlan plan_overlay(const Store& store, const std::vector<LayerKey>& layers,
                         const fs::path& container_dir) {
  if (layers.size() > oci::kMaxLayers) {
    throw base::Error(base::ErrorKind::kInvalid, "an image of " + std::to_string(layers.size()) +
                                                     " layers: the kernel's overlay takes " +
                                                     std::to_string(oci::kMaxLayers));
  }
  OverlayPlan plan{.lower = {}, .upper = container_dir / "upper", .work = container_dir / "work"};
  // An image may have one layer twice, the kernel refuses a directory twice (ELOOP). Whatever the
  // lower copy has, the upper one has too, so leaving out the lower one changes nothing.
  std::set<LayerKey> seen;
  for (auto key = layers.rbegin(); key != layers.rend(); ++key) {
    if (seen.insert(*key).second) plan.lower.push_back(store.layer_dir(*key));
  }
  // An image without layers is legal, an overlay without a lower directory is not.
  if (plan.lower.empty()) plan.lower.push_back(store.root() / "empty");
  return plan;
}

}  // namespace storage
