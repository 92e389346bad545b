// Layout: which entries of an OCI image layout's index.json are the images that somebody asks for
// (image-spec, image-layout.md); pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/manifest.h"
#include "oci/reference.h"

namespace oci {

inline constexpr char kLayoutFile[] = "oci-layout";
inline constexpr char kLayoutIndex[] = "index.json";
// Annotations of index.json's entries: a tag, or with some tools a whole name; a full name.
inline constexpr char kRefNameAnnotation[] = "org.opencontainers.image.ref.name";
inline constexpr char kImageNameAnnotation[] = "io.containerd.image.name";
constexpr std::size_t kMaxLayoutFileBytes = 4096;
constexpr int kMaxIndexDepth = 4;

struct LayoutChoice {
  Platform platform;
  bool is_explicit = false;  // the user named the platform: nothing else will do
  // One image, by its tag or annotation; nullopt: all of them; empty: the only one.
  std::optional<std::string> reference;
};

// oci-layout's content. Throws kInvalid where it is not version 1.
void check_layout_file(std::string_view json);
Index parse_layout_index(std::string_view json);
std::string layout_blob_name(const Digest& digest);  // "blobs/sha256/…"

// An OCI manifest of these and nothing else; the same value always gives the same bytes.
std::string render_manifest(const Descriptor& config, const std::vector<Descriptor>& layers);

// Entries that may be images, whatever their platform: not attestations or signatures.
bool is_image_entry(const Descriptor& entry);

// One entry for each image: of several that have one name and differ in their platforms, the best.
// A reference gives exactly one. Throws kNotFound, kInvalid where it is not clear which.
std::vector<Descriptor> choose_layout_entries(const Index& index, const LayoutChoice& choice);

// The name that an entry's annotations give: a whole one; a bare word is a tag of a repository
// that is not told.
std::optional<Reference> find_layout_name(const Descriptor& entry);

}  // namespace oci
