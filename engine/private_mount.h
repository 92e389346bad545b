// A read-only overlay that is attached nowhere: only its descriptor leads to it.
#pragma once

#include <filesystem>
#include <vector>

#include "base/unique_fd.h"

namespace engine {

// `lower` is topmost first, at least two. Needs CAP_SYS_ADMIN. Where the kernel is too old for a
// long list by fsconfig(2) (before 6.8), a child mounts it in a mount namespace of its own and
// hands over a detached clone.
base::UniqueFd mount_detached_overlay(const std::vector<std::filesystem::path>& lower);

}  // namespace engine
