// ChangeSource: a container's writable directory beside the layers below it, and what in it is the
// engine's own.
#pragma once

#include <set>
#include <string>

#include "base/unique_fd.h"
#include "storage/store.h"

namespace engine {

// An empty file, as docker makes it: no change of the container's, so diff and commit leave it out.
inline constexpr char kContainerMark[] = "/.dockerenv";

struct ChangeSource {
  base::UniqueFd upper;          // empty where the container was never started
  base::UniqueFd lower;          // the image's layers as one tree
  std::set<std::string> hidden;  // targets of its mounts
};

ChangeSource open_change_source(storage::Store& store, const storage::ContainerRow& row);

}  // namespace engine
