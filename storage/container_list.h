// Container list: containers' rows, without their long texts where nobody looks at those.
#pragma once

#include <vector>

#include "storage/store.h"

namespace storage {

// The two long texts of a row are most of what there is to read, and most rows are of containers
// that have ended.
enum class ContainerTexts { kNone, kLabels, kAll };  // the others stay empty
struct ContainerScope {
  bool stopped = true;  // also those that are neither running, paused nor restarting
  ContainerTexts texts = ContainerTexts::kAll;
};

// Newest first.
std::vector<ContainerRow> list_containers(Store& store, const ContainerScope& scope);

}  // namespace storage
