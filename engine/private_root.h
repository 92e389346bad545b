// A stopped container's files as they would be seen in it, in a mount that is attached nowhere.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "storage/overlay.h"

namespace engine {

struct PrivateBind {
  std::string source, target;  // of the host; in the container
  std::string subpath;         // below the source, resolved there
  bool readonly = false, recursive = true;
};

struct PrivateRoot {
  storage::OverlayPlan overlay;
  std::vector<PrivateBind> binds;  // parents before children
  bool readonly = false;           // the root itself
};

// The overlay, writable, with the binds in it; targets that are missing are made, as a start would.
// A child mounts it in a mount namespace of its own and hands over a detached clone, so that all of
// it is gone when the descriptor is closed, however that happens. The caller sees to it that nobody
// else has the overlay mounted.
base::UniqueFd mount_private_root(const PrivateRoot& plan);

}  // namespace engine
