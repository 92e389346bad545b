// Store check: whether what is on disk is what the rows and digests say.
#pragma once

#include <string>
#include <vector>

#include "storage/store.h"

namespace storage {

enum class CheckDepth {
  kQuick,  // what is there, and how large
  kFull,   // and every digest
};
enum class CheckRepair { kNo, kYes };

struct Finding {
  std::string object;    // "layer 0123456789ab", "image alpine:latest"
  std::string text;      // what is wrong
  std::string repaired;  // what was done about it; empty: nothing
};

// Sweeps first, as any command does, so what a killed command left is no finding. With kYes broken
// blobs go, and broken layers with the images that need them, which are to be pulled again; what a
// container uses is left alone and says so.
std::vector<Finding> check_store(Store& store, CheckDepth depth, CheckRepair repair);

}  // namespace storage
