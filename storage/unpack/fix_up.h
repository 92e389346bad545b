// FixUp: what a layer needs over the layers below it, and the copy of it that has that.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "storage/unpack/attributes.h"
#include "storage/unpack/layer_record.h"
#include "storage/unpack/overlay_policy.h"

namespace storage {

struct FixUps {
  struct Directory {
    std::string path;
    Attributes attributes;
    bool only_time = false;  // nothing else differs
  };
  struct Link {  // becomes a copy: layers never share what one of them might still change
    std::string path;
    base::UniqueFd source_dir;
    std::string source_name;
  };
  std::vector<Directory> directories;
  std::vector<Link> links;
  std::vector<std::string> opaque;     // directories of the root that hide those below
  std::vector<std::string> whiteouts;  // names in the root
  std::vector<std::string> unmerged;   // directories whose whiteouts mean nothing and go

  bool empty() const {
    return directories.empty() && links.empty() && opaque.empty() && whiteouts.empty() &&
           unmerged.empty();
  }
  bool only_times() const;  // set_times() does, where nobody has done it
};

// What `layer` needs over `lower` (topmost first; each complete, that is with its own fix-ups).
// The root's time alone is no reason. Throws kInvalid where a hard link's target is nowhere. See
// storage/unpack/README.md.
FixUps find_fix_ups(const std::filesystem::path& layer, const LayerRecord& record,
                    const std::vector<std::filesystem::path>& lower,
                    const OverlayPolicy& policy = {});

// Makes `copy` (an empty directory) a copy of `layer` with the fix-ups: own directories, whose
// attributes may change, and hard links to everything else, which never does.
void copy_with_fix_ups(const std::filesystem::path& layer, const FixUps& fix_ups,
                       const std::filesystem::path& copy, const OverlayPolicy& policy = {});

// The record of a layer whose times set_times() is about to overwrite; to be kept before it does.
// nullopt where the record shows that it was done once: somebody counts on these times.
std::optional<LayerRecord> note_own_times(const std::filesystem::path& layer,
                                          const LayerRecord& record, const FixUps& fix_ups);
// Gives the implied directories of `layer` itself their times, for one that no image has yet.
void set_times(const std::filesystem::path& layer, const FixUps& fix_ups);

}  // namespace storage
