#include "engine/image/saved_image.h"

#include <fcntl.h>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "oci/layout.h"
#include "storage/pack/blob_rebuild.h"
#include "storage/pack/layer_tar.h"

namespace engine {
namespace {

// A blob as the registry served it, from the cache; open from now on, so no eviction takes it away.
std::optional<ArchiveFile> find_kept(const storage::Store& store, const oci::Descriptor& blob) {
  base::UniqueFd fd(open(store.blob_path(blob.digest).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  auto file = ArchiveFile::whole(std::move(fd));
  if (file.size() != blob.size) return std::nullopt;
  return file;
}

bool is_plain(const oci::Descriptor& blob, const oci::DiffId& id) {
  return blob.digest.hex() == id.hex();
}

// As the manifest has it; nullopt where that can't be had any more.
std::optional<SavedLayer> find_served(storage::Store& store, const oci::Descriptor& blob,
                                      const oci::DiffId& id) {
  if (is_plain(blob, id) && storage::has_layer_tar(store, id)) {
    return SavedLayer{.blob = blob, .diff_id = id, .file = std::nullopt, .recipe = std::nullopt};
  }
  SavedLayer layer{
      .blob = blob, .diff_id = id, .file = find_kept(store, blob), .recipe = std::nullopt};
  if (layer.file) return layer;
  layer.recipe = store.find_blob(blob.digest);
  const bool is_known =
      layer.recipe && storage::has_recipe(*layer.recipe) && layer.recipe->layer == id;
  if (!is_known || !storage::has_layer_tar(store, id)) return std::nullopt;
  return layer;
}

// Of a layer whose tar can't be written again, inflated from a blob that is kept.
ArchiveFile inflate_kept(storage::Store& store, const oci::DiffId& id) {
  for (const storage::BlobRow& row : store.blobs_of_layer(id)) {
    base::UniqueFd blob(open(store.blob_path(row.digest).c_str(), O_RDONLY | O_CLOEXEC));
    if (!blob) continue;
    return ArchiveFile::whole(make_seekable(blob.get(), store.staging_dir()));
  }
  throw base::Error(base::ErrorKind::kUnsupported,
                    "layer " + id.hex().substr(0, 12) +
                        " can't be written as a tar: pull its image again after `rmi`");
}

SavedLayer plan_plain(storage::Store& store, const oci::DiffId& id) {
  SavedLayer layer{
      .blob = {.media_type = oci::kOciLayer, .digest = oci::Digest::from_hex(id.hex()), .size = 0},
      .diff_id = id,
      .file = std::nullopt};
  if (storage::has_layer_tar(store, id)) {
    layer.blob.size = storage::layer_tar_size(store, id);
  } else {
    layer.file = inflate_kept(store, id);
    layer.blob.size = layer.file->size();
  }
  return layer;
}

std::optional<std::vector<SavedLayer>> find_all_served(storage::Store& store,
                                                       const oci::Manifest& manifest,
                                                       const storage::ImageRow& row) {
  if (manifest.layers.size() != row.layers.size()) return std::nullopt;
  std::vector<SavedLayer> layers;
  for (std::size_t i = 0; i < row.layers.size(); ++i) {
    auto layer = find_served(store, manifest.layers[i], row.layers[i]);
    if (!layer) return std::nullopt;
    layers.push_back(std::move(*layer));
  }
  return layers;
}

bool all_plain(const oci::Manifest& manifest, const storage::ImageRow& row) {
  if (manifest.layers.size() != row.layers.size()) return false;
  for (std::size_t i = 0; i < row.layers.size(); ++i) {
    if (!is_plain(manifest.layers[i], row.layers[i])) return false;
  }
  return true;
}

}  // namespace

SavedImage plan_saved_image(storage::Store& store, const storage::ImageRow& row, LayerForm form) {
  const auto parsed = oci::parse_manifest(row.manifest, "");
  const auto& manifest = std::get<oci::Manifest>(parsed);
  SavedImage image{.manifest = {.media_type = manifest.media_type,
                                .digest = row.manifest_digest,
                                .size = row.manifest.size()},
                   .config = manifest.config,
                   .manifest_bytes = row.manifest,
                   .config_bytes = row.config,
                   .layers = {},
                   .names = {}};
  if (form == LayerForm::kAsServed || all_plain(manifest, row)) {
    if (auto served = find_all_served(store, manifest, row)) {
      image.layers = std::move(*served);
      return image;
    }
  }
  std::vector<oci::Descriptor> blobs;
  for (const oci::DiffId& id : row.layers) {
    image.layers.push_back(plan_plain(store, id));
    blobs.push_back(image.layers.back().blob);
  }
  image.config.media_type = oci::kOciConfig;
  image.manifest_bytes = oci::render_manifest(image.config, blobs);
  image.manifest = {.media_type = oci::kOciManifest,
                    .digest = oci::Digest::from_hex(base::sha256_hex(image.manifest_bytes)),
                    .size = image.manifest_bytes.size()};
  return image;
}

void write_saved_layer(const storage::Store& store, const SavedLayer& layer, const ByteSink& sink) {
  base::while_doing("layer " + layer.diff_id.hex().substr(0, 12), [&] {
    if (layer.recipe) return storage::write_blob(store, *layer.recipe, sink);
    if (!layer.file) return storage::write_layer_tar(store, layer.diff_id, sink);
    base::Sha256Hasher hasher;
    layer.file->for_each_block([&](std::string_view bytes) {
      hasher.update(bytes);
      sink(bytes);
    });
    if (hasher.finish() != layer.blob.digest.hex()) {
      throw base::Error(base::ErrorKind::kCorrupt, "the kept blob is damaged");
    }
  });
}

}  // namespace engine
