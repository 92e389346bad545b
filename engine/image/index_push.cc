#include "engine/image/index_push.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/trace.h"

namespace engine {
namespace {

bool is_at(registry::RemoteClient& client, const oci::Reference& target,
           const oci::Digest& digest) {
  try {
    return client.find_digest(target.with_digest(digest)) == digest;
  } catch (const base::Error& error) {
    // A registry that lets nobody read says so of what it does not have, too.
    if (error.kind() == base::ErrorKind::kNotFound ||
        error.kind() == base::ErrorKind::kUnauthorized) {
      return false;
    }
    throw;
  }
}

// buildx labels what is about an image as of a platform that nobody has.
bool is_companion(const oci::Descriptor& entry) {
  const bool is_manifest =
      entry.media_type == oci::kOciManifest || entry.media_type == oci::kDockerManifest;
  const bool is_nowhere =
      !entry.platform || entry.platform->os == "unknown" || !entry.artifact_type.empty();
  return is_manifest && is_nowhere;
}

void copy_blob(PushBlobs& blobs, registry::RemoteClient& client, const oci::Descriptor& blob,
               const storage::ImageRow& image, const oci::Reference& target) {
  const auto mounts = blobs.find_mounts(blob, image, target);
  const registry::BlobUpload upload{.digest = blob.digest,
                                    .size = blob.size,
                                    .mount_from = mounts.empty() ? std::string() : mounts.front()};
  if (client.push_blob(target, upload, -1, {}) != registry::PushedBlob::kAbsent) return;
  const auto file = blobs.fetch(blob, image);
  if (!file) {
    throw base::Error(base::ErrorKind::kNotFound, blob.digest.str() + " can't be had any more");
  }
  client.push_blob(target, upload, file->fd.get(), {});
}

}  // namespace

std::optional<IndexPlan> plan_index_push(SharedStore& shared, registry::RemoteClient& client,
                                         const storage::ImageRow& image,
                                         const oci::Reference& target) {
  std::optional<IndexPlan> plan;
  std::map<std::string, storage::ImageRow> here;
  shared.with([&](storage::Store& store) {
    const auto indexes = storage::indexes_of_image(store, image.id);
    const auto bytes = indexes.empty() ? std::nullopt : storage::find_index(store, indexes[0]);
    if (!bytes) return;
    plan = {
        .digest = indexes[0], .bytes = *bytes, .media_type = {}, .images = {}, .companions = {}};
    for (const oci::ImageId& id : storage::images_of_index(store, indexes[0])) {
      storage::ImageRow row = store.load_image(id);
      std::string key = row.manifest_digest.hex();
      here.emplace(std::move(key), std::move(row));
    }
  });
  if (!plan) return std::nullopt;
  const auto content = oci::parse_manifest(plan->bytes, {});
  const auto& index = std::get<oci::Index>(content);
  plan->media_type = index.media_type;
  for (const oci::Descriptor& entry : index.manifests) {
    if (entry.digest == image.manifest_digest) continue;
    const auto found = here.find(entry.digest.hex());
    if (found != here.end()) {
      plan->images.push_back(found->second);
    } else if (!is_at(client, target, entry.digest)) {
      if (is_companion(entry)) {
        plan->companions.push_back(entry);
        continue;
      }
      base::trace("push", "index " + plan->digest.str() + ": " + entry.digest.str() +
                              " is neither here nor at the target");
      plan->is_complete = false;
      break;
    }
  }
  return plan;
}

bool copy_companion(PushBlobs& blobs, registry::RemoteClient& client,
                    const oci::Descriptor& companion, const storage::ImageRow& image,
                    const oci::Reference& target) {
  for (const std::string& origin : blobs.list_origins(image)) {
    try {
      const auto source = oci::Reference::parse(origin).with_digest(companion.digest);
      const registry::RawManifest raw = client.fetch_manifest(source);
      const auto content = oci::parse_manifest(raw.bytes, companion.media_type);
      const auto& manifest = std::get<oci::Manifest>(content);
      for (const oci::Descriptor& layer : manifest.layers) {
        copy_blob(blobs, client, layer, image, target);
      }
      copy_blob(blobs, client, manifest.config, image, target);
      client.push_manifest(target.with_digest(companion.digest), raw.bytes, companion.media_type);
      return true;
    } catch (const base::Error& error) {
      base::trace("push", companion.digest.str() + " from " + origin + ": " + error.what());
    }
  }
  return false;
}

}  // namespace engine
