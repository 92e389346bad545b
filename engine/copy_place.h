// CopyPlace: where an end of a `cp` really is: a directory held open and a name in it.
#pragma once

#include <optional>
#include <string>
#include <sys/stat.h>

#include "base/unique_fd.h"

namespace engine {

// A tree in which paths are resolved: the host's, or a container's below its root's descriptor,
// which no link leads out of.
class CopyTree {
 public:
  CopyTree() = default;  // the host
  explicit CopyTree(int root_fd) : root_fd_(root_fd) {}
  // An empty descriptor where there is none.
  base::UniqueFd find_directory(const std::string& path) const;

 private:
  int root_fd_ = -1;  // borrowed
};

struct CopyPlace {
  base::UniqueFd parent;             // empty: there is no such directory
  std::string name;                  // "." for the directory `parent` itself
  std::string path;                  // after links
  std::optional<struct stat> found;  // what is there, a link as such; nothing where nothing is

  bool is_directory() const { return found && S_ISDIR(found->st_mode); }
};

// kYes: a link at the end is followed, and where that leads need not exist.
enum class FollowLast { kNo, kYes };
CopyPlace find_place(const CopyTree& tree, const std::string& path, FollowLast follow);

}  // namespace engine
