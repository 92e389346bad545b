// SavedImage: one image of the store, ready to be written elsewhere: its documents, and where each
// layer's bytes come from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/image/archive_files.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "storage/store.h"

namespace engine {

using ByteSink = std::function<void(std::string_view)>;

struct SavedLayer {
  oci::Descriptor blob;
  oci::DiffId diff_id;
  // The blob's bytes; or how its layer's tar becomes it again; neither: that tar is the blob.
  std::optional<ArchiveFile> file;
  std::optional<storage::BlobRow> recipe;
};

struct SavedImage {
  oci::Descriptor manifest, config;
  std::string manifest_bytes, config_bytes;
  std::vector<SavedLayer> layers;
  std::vector<oci::Reference> names;  // with tags
};

// kAsServed: the blobs and the manifest as they came, where all of them are kept or can be made
// again; else plain tars and a manifest of ours. kPlain: plain tars. The config, and so the image's
// id, are the same in any case. While it is used the caller holds hold_layers(). Throws
// kUnsupported where a layer can't be written at all.
enum class LayerForm { kAsServed, kPlain };
SavedImage plan_saved_image(storage::Store& store, const storage::ImageRow& row, LayerForm form);

// Verifies the blob's digest; where it throws, what was given to the sink is worthless.
void write_saved_layer(const storage::Store& store, const SavedLayer& layer, const ByteSink& sink);

}  // namespace engine
