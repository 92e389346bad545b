// Changes: what a container's writable directory says about the layers below it, in docker's words.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace storage {

struct Change {
  enum class Kind { kAdded, kChanged, kDeleted } kind = Kind::kChanged;
  std::string path;  // "/etc/passwd"
  // Of a directory: hides the whole directory that the layers have at its place.
  bool opaque = false;
  // Of a deletion: follows from an opaque directory above, no whiteout says so.
  bool implied = false;
  friend bool operator==(const Change&, const Change&) = default;
};

struct ChangeOptions {
  // Paths that belong to the engine (targets of mounts): neither they nor what is below them is
  // listed, nor are directories above them that nothing else happened to.
  std::set<std::string> hidden;
};

// Compares the upper directory of an overlay with its merged lower layers; both are descriptors of
// directories, open for reading or by O_PATH. Parents come before children, names in byte order; a
// directory in which something changed is a change itself, as docker says it. The upper directory
// may change meanwhile: what goes is left out. Throws kUnsupported below 512 levels of directories.
std::vector<Change> list_changes(int upper_fd, int lower_fd, const ChangeOptions& options = {});

}  // namespace storage
