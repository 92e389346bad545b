// ArchiveLoad: images of archives and layouts into the store: layers unpack at the same time,
// straight from where they lie.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/image/archive_images.h"
#include "engine/image/layer_file.h"
#include "engine/image/puller.h"
#include "oci/transport.h"
#include "storage/store.h"

namespace engine {

struct LoadOptions {
  ArchiveChoice choice;
  LayerFileOptions layers;
  std::function<void(const PullEvent&)> on_event;
  // Of a directory's files, in seconds.
  std::int64_t latest_time = std::numeric_limits<std::int64_t>::max();
};

struct LoadedImage {
  oci::ImageId image;
  oci::Digest digest;              // what the archive's index says of it
  std::vector<std::string> names;  // familiar: "alpine:3.19"
  bool changed = false;            // rather than known already
};

// docker's `load`: every image of the archive that `fd` gives, under the names that the archive has
// for it; a name that another image had moves. A kill leaves what a killed pull does.
std::vector<LoadedImage> load_archive(storage::Store& store, int fd, const LoadOptions& options);

// One image from where the user said. Only a name that he gave himself is assigned.
LoadedImage load_from(storage::Store& store, const oci::Transport& source,
                      const LoadOptions& options);

// The name that the part behind the last colon of a source gives, too: a whole one, with a tag.
std::optional<oci::Reference> name_given(const oci::Transport& source);

}  // namespace engine
