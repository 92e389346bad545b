#include "engine/image/single_layer.h"

#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "engine/image/image_row.h"
#include "engine/image/layer_file.h"
#include "engine/image/progress.h"
#include "oci/layout.h"

namespace engine {
namespace {

// Of the plain tar, whose digest is its DiffID too.
oci::Descriptor describe(const TarBytes& tar) {
  base::Sha256Hasher hasher;
  std::uint64_t size = 0;
  tar([&](std::string_view bytes) {
    hasher.update(bytes);
    size += bytes.size();
  });
  return {
      .media_type = oci::kOciLayer, .digest = oci::Digest::from_hex(hasher.finish()), .size = size};
}

}  // namespace

LoadedImage add_single_layer(storage::Store& store, const TarBytes& tar,
                             const SingleLayerImage& image, const LoadOptions& options) {
  const oci::Descriptor layer = describe(tar);
  const auto diff_id = oci::DiffId::from_hex(layer.digest.hex());
  // From the first look at a layer until the image's row counts it.
  const base::UniqueFd hold = store.hold_layers();
  if (!store.has_layer(diff_id.hex())) {
    Progress progress(options.on_event);
    unpack_layer_files(store, {{.blob = layer, .diff_id = diff_id, .read = tar}}, options.layers,
                       progress);
  }
  oci::ImageConfig config = image.config;
  config.diff_ids = {diff_id};
  const std::string config_bytes = oci::render_image_config(config);
  const auto config_digest = oci::Digest::from_hex(base::sha256_hex(config_bytes));
  const std::string manifest = oci::render_manifest(
      {.media_type = oci::kOciConfig, .digest = config_digest, .size = config_bytes.size()},
      {layer});
  const auto manifest_digest = oci::Digest::from_hex(base::sha256_hex(manifest));
  const storage::ImageRow row = make_image_row(store,
                                               {.manifest_digest = manifest_digest,
                                                .manifest_bytes = manifest,
                                                .config_bytes = config_bytes,
                                                .config = config},
                                               config_digest);
  const auto old = store.find_image(row.id.str());
  LoadedImage loaded{.image = row.id, .digest = manifest_digest, .changed = !old || image.name};
  if (image.name) loaded.names.push_back(image.name->familiar());
  if (loaded.changed) store.add_local_image(row, image.name, image.action);
  return loaded;
}

}  // namespace engine
