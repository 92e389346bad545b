// Unused images: removal for prunes and budgets, which must not take what came into use meanwhile.
#pragma once

#include <optional>

#include "storage/store.h"

namespace storage {

enum class Unused { kUntagged, kAny };

// Removes the image with its names unless a container uses it, or, with kUntagged, a tag points to
// it; looked at in the removal's own transaction. nullopt: it stays.
std::optional<Store::Untagged> remove_unused_image(Store& store, const oci::ImageId& image,
                                                   Unused how);

}  // namespace storage
