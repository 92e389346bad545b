#include "engine/image/image_row.h"

#include <set>

#include "base/error.h"
#include "base/time.h"
#include "engine/image/layer_stack.h"

namespace engine {
namespace {

base::Nanoseconds created_of(const oci::ImageConfig& config) {
  if (config.created.empty()) return 0;
  try {
    return base::parse_rfc3339(config.created);
  } catch (const base::Error&) {
    return 0;  // informational only: docker shows such images, too
  }
}

}  // namespace

storage::ImageRow make_image_row(storage::Store& store, const ImageDocuments& documents,
                                 const oci::Digest& config_digest) {
  storage::ImageRow row = {.id = oci::ImageId::from_hex(config_digest.hex()),
                           .manifest_digest = documents.manifest_digest,
                           .config = documents.config_bytes,
                           .manifest = documents.manifest_bytes,
                           .layers = documents.config.diff_ids,
                           .layer_keys = stack_layers(store, documents.config.diff_ids),
                           .size = 0,
                           .created = created_of(documents.config),
                           .pulled = base::now()};
  const std::set<storage::LayerKey> once(row.layer_keys.begin(), row.layer_keys.end());
  for (const storage::LayerKey& key : once) row.size += store.layer_size(key);
  return row;
}

}  // namespace engine
