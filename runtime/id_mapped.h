// Id-mapped mounts: views of directories whose files seem to belong to other users, made by the
// parent and handed to the child detached.
#pragma once

#include "base/unique_fd.h"
#include "runtime/plan.h"

namespace runtime {

// The mount that a kBind step with an id map wants, or one whose source is not simply a path.
base::UniqueFd clone_id_mapped(const Step& bind);

// The overlay that a kRootOverlay step with an id map wants: its lower layers are mapped, since an
// overlay itself can't be; the upper one holds the ids that the container's users have outside.
base::UniqueFd mount_id_mapped_overlay(const Step& overlay);

// A directory tree whose files show other owners: `container_id` on disk is seen as `host_id`.
// Attached nowhere: it goes with the descriptor.
base::UniqueFd open_with_ids(const std::string& path, const std::vector<oci::IdMapping>& uids,
                             const std::vector<oci::IdMapping>& gids);

// The lines of uid_map and gid_map; see user_namespaces(7).
std::string render_id_map(const std::vector<oci::IdMapping>& mappings);

}  // namespace runtime
