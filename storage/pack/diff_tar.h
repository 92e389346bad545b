// Diff tar: a container's changes as the tar stream of a layer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/changes.h"
#include "storage/pack/tar_writer.h"
#include "storage/unpack/overlay_policy.h"

namespace storage {

// Writes what `changes` (of list_changes(), in its order) names below `upper_fd`: deletions as
// whiteouts, opaque directories with their mark, names of one file as hard links, holes as holes.
// Sockets are left out, as a tar has no word for them. kWithRoot: begins with the directory itself.
// What changes meanwhile is cut or filled up with zeros to the size it had; what is gone is left
// out. No path is followed through a link. The stream is not finished.
enum class DiffRoot { kLeftOut, kWithRoot };
void write_diff(TarWriter& writer, int upper_fd, const std::vector<Change>& changes, DiffRoot root,
                const OverlayPolicy& policy = {});

// One file as an entry named `name`, with its content; `earlier` has the names of files with
// several links. `parent_fd` and `base` lead to it, a link as such. False where there is nothing
// that a tar could hold: it is gone, or a socket.
class FilePacker {
 public:
  FilePacker(TarWriter& writer, const OverlayPolicy& policy) : writer_(writer), policy_(policy) {}
  bool add(int parent_fd, const std::string& base, std::string name);

 private:
  void add_file(int fd, TarEntry& entry);
  bool link_to_earlier(TarEntry& entry, std::uint64_t device, std::uint64_t inode);

  TarWriter& writer_;
  OverlayPolicy policy_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> links_;
};

}  // namespace storage
