// LayoutIndex: the manifests of an OCI image layout (image-spec, image-layout.md), through nested
// indexes, each verified against its digest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/image/archive_images.h"

namespace engine {

struct LayoutManifest {
  oci::Digest top_digest;  // of index.json's entry
  oci::Digest digest;
  std::string bytes;
  oci::Manifest manifest;
  std::optional<oci::Reference> name;
};

// kInvalid: something in the archive that can't be.
[[noreturn]] void throw_bad_archive(const std::string& text);

// Verified against size and digest. Throws.
std::string read_layout_blob(const ArchiveFiles& files, const oci::Descriptor& descriptor,
                             std::size_t limit);

// One for each image: of several that differ in their platforms only, the best.
std::vector<LayoutManifest> choose_manifests(const ArchiveFiles& files,
                                             const ArchiveChoice& choice);

// Whatever the archive has of them, of any platform; an index may name more than was saved.
std::vector<LayoutManifest> find_all_manifests(const ArchiveFiles& files);

}  // namespace engine
