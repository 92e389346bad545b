// Container list: containers' rows, without their long texts where nobody looks at those.
#pragma once

#include <vector>

#include "storage/store.h"

namespace storage {

// The two long texts of a row are most of what there is to read, and most rows are of containers
// that have ended.
struct ContainerScope {
  bool stopped = true;  // also those that are neither running, paused nor restarting
  bool texts = true;    // else `options` and `labels` stay empty
};

// Newest first.
std::vector<ContainerRow> list_containers(Store& store, const ContainerScope& scope);

}  // namespace storage
