// MountOptions: the option strings of a mount of the runtime spec, sorted by who obeys them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runtime {

struct MountOptions {
  bool bind = false, recursive_bind = false;
  bool id_mapped = false, recursive_id_mapped = false;
  bool copy_up = false;                                      // a tmpfs starts with what it hides
  bool remount = false;                                      // changes the mount that is there
  std::uint64_t set = 0, clear = 0;                          // MOUNT_ATTR_* of the mount itself
  std::uint64_t recursive_set = 0, recursive_clear = 0;      // and of all below it
  std::uint64_t propagation = 0, recursive_propagation = 0;  // MS_SHARED, …
  // Private to callers of this library, as x-sampan.subpath=PATH, x-sampan.namespace=FILE and
  // x-sampan.host: where the mount is made from. See Step.
  std::string subpath, mount_namespace;
  bool by_parent = false;
  // For the file system: key and value, "" where the option has none.
  std::vector<std::pair<std::string, std::string>> data;
  friend bool operator==(const MountOptions&, const MountOptions&) = default;
};

// Throws kUnsupported, by name, for options that must not be ignored and that this build does not
// have.
MountOptions parse_mount_options(const std::vector<std::string>& options);

// "rprivate" to MS_PRIVATE; 0 where the word is not one.
struct Propagation {
  std::uint64_t type = 0;
  bool recursive = false;
};
Propagation find_propagation(std::string_view word);

// "nosuid,noexec" for --explain.
std::string render_attributes(std::uint64_t set, std::uint64_t clear);

}  // namespace runtime
