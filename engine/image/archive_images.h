// ArchiveImages: which images an archive, a layout or a directory holds: docker's manifest.json and
// OCI's index.json, checked; nothing of the store is touched.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/image/archive_files.h"
#include "oci/image_config.h"
#include "oci/layout.h"
#include "oci/manifest.h"
#include "oci/reference.h"

namespace engine {

struct ArchiveImage {
  oci::Digest top_digest;  // what the index says: of an index of several platforms, else the next
  oci::Digest manifest_digest;
  std::string manifest_bytes;  // made here where the archive has none
  oci::Manifest manifest;
  std::string config_bytes;
  oci::ImageConfig config;
  std::vector<std::string> layer_files;  // names of members, for manifest.layers
  std::vector<oci::Reference> names;     // what the archive calls it, with tags
};

// The reference may be "@2", too: the third image of docker's manifest.json.
using ArchiveChoice = oci::LayoutChoice;

// Manifests and configs are verified against their digests; of the layers only that they are there,
// and how long they are. All throw kInvalid, kCorrupt, kUnsupported or kNotFound.

// What docker and podman save: manifest.json, where there is an index.json with its manifests.
std::vector<ArchiveImage> list_docker_images(const ArchiveFiles& files,
                                             const ArchiveChoice& choice);
// OCI's image layout, in an archive or a directory.
std::vector<ArchiveImage> list_layout_images(const ArchiveFiles& files,
                                             const ArchiveChoice& choice);
// Whichever of the two it is.
std::vector<ArchiveImage> list_images(const ArchiveFiles& files, const ArchiveChoice& choice);
// What skopeo's `dir:` writes: manifest.json and blobs by the digits of their digests.
ArchiveImage read_image_directory(const ArchiveFiles& files, const ArchiveChoice& choice);

// Linux, with as many layers as the manifest, and no more than an overlay takes.
oci::ImageConfig check_config(const oci::Manifest& manifest, std::string_view config_bytes);

}  // namespace engine
