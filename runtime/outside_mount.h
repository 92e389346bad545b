// Outside mounts: those that a container's parent makes for it, since they come from where the
// child must not or can't look.
#pragma once

#include "base/unique_fd.h"
#include "runtime/plan.h"

namespace runtime {

// The tree that a kBind step with a subpath or a mount namespace names. A subpath is resolved below
// the source by openat2(2), once, so that whoever may write there can't lead it elsewhere.
base::UniqueFd clone_outside(const Step& bind, bool recursive);

// The file system of a kMount step, mounted in our network namespace instead of the container's.
base::UniqueFd mount_for_child(const Step& step);

}  // namespace runtime
