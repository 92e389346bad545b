// OverlayPolicy: how deletions are written into a layer's directory, which depends on who mounts
// it.
#pragma once

namespace storage {

// root's overlay; one mounted in a user namespace would say "user.overlay." and `userxattr`.
struct OverlayPolicy {
  const char* xattr_prefix = "trusted.overlay.";
  const char* opaque_xattr = "trusted.overlay.opaque";
};

}  // namespace storage
