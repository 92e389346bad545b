// ArchiveSave: images of the store as archives of docker's or OCI's, as a layout or a directory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "oci/platform.h"
#include "oci/transport.h"
#include "storage/store.h"

namespace engine {

enum class ArchiveFormat { kDocker, kOci };

// docker's `save`: names, of which one without a tag means all tags of the repository, and ids,
// which give images without names. kDocker is what docker has written since 25: manifest.json with
// plain tars, and an OCI layout around them. The same images give the same bytes. kNotFound where
// a name has no image for `platform` here.
void save_archive(storage::Store& store, const std::vector<std::string>& images,
                  ArchiveFormat format, const std::optional<oci::Platform>& platform, int fd);

// One image to where the user says: a file takes its name when it is whole, a layout keeps the
// images that it has under other names.
void save_to(storage::Store& store, const std::string& image, const oci::Transport& target,
             const std::optional<oci::Platform>& platform);

}  // namespace engine
