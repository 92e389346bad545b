#include "engine/image/index_push.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

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

namespace {

bool is_index(const oci::Descriptor& entry) {
  return entry.media_type == oci::kOciIndex || entry.media_type == oci::kDockerList;
}

class Planner {
 public:
  Planner(SharedStore& shared, registry::RemoteClient& client, const storage::ImageRow& image,
          const oci::Reference& target)
      : shared_(shared), client_(client), image_(image), target_(target) {}

  void add_here(storage::ImageRow row) {
    std::string key = row.manifest_digest.hex();
    here_.emplace(std::move(key), std::move(row));
  }

  IndexPlan run(PlannedIndex top) {
    IndexPlan plan{.index = std::move(top), .inner = {}, .images = {}, .companions = {}};
    plan.is_complete = add_entries(plan.index, plan);
    return plan;
  }

 private:
  // False where something is neither here nor at the target.
  bool add_entries(PlannedIndex& planned, IndexPlan& plan) {
    const auto content = oci::parse_manifest(planned.bytes, {});
    const auto& index = std::get<oci::Index>(content);
    planned.media_type = index.media_type;
    return std::all_of(
        index.manifests.begin(), index.manifests.end(), [&](const oci::Descriptor& entry) {
          if (add_entry(entry, plan)) return true;
          base::trace("push", "index " + planned.digest.str() + ": " + entry.digest.str() +
                                  " is neither here nor at the target");
          return false;
        });
  }

  bool add_entry(const oci::Descriptor& entry, IndexPlan& plan) {
    if (entry.digest == image_.manifest_digest || !seen_.insert(entry.digest.hex()).second) {
      return true;
    }
    const auto found = here_.find(entry.digest.hex());
    if (found != here_.end()) {
      plan.images.push_back(found->second);
      return true;
    }
    if (is_at(client_, target_, entry.digest)) return true;
    if (is_index(entry)) return add_inner(entry.digest, plan);
    if (!is_companion(entry)) return false;
    plan.companions.push_back(entry);
    return true;
  }

  bool add_inner(const oci::Digest& digest, IndexPlan& plan) {
    std::optional<std::string> bytes;
    shared_.with([&](storage::Store& store) { bytes = storage::find_index(store, digest); });
    if (!bytes) return false;
    PlannedIndex inner{.digest = digest, .bytes = std::move(*bytes), .media_type = {}};
    if (!add_entries(inner, plan)) return false;
    plan.inner.push_back(std::move(inner));
    return true;
  }

  SharedStore& shared_;
  registry::RemoteClient& client_;
  const storage::ImageRow& image_;
  const oci::Reference& target_;
  std::map<std::string, storage::ImageRow> here_;  // by their manifests' digests
  std::set<std::string> seen_;
};

}  // namespace

std::optional<IndexPlan> plan_index_push(SharedStore& shared, registry::RemoteClient& client,
                                         const storage::ImageRow& image,
                                         const oci::Reference& target) {
  std::optional<PlannedIndex> top;
  Planner planner(shared, client, image, target);
  shared.with([&](storage::Store& store) {
    const auto indexes = storage::indexes_of_image(store, image.id);
    const auto bytes = indexes.empty() ? std::nullopt : storage::find_index(store, indexes[0]);
    if (!bytes) return;
    top = {.digest = indexes[0], .bytes = *bytes, .media_type = {}};
    for (const oci::ImageId& id : storage::images_of_index(store, indexes[0])) {
      planner.add_here(store.load_image(id));
    }
  });
  if (!top) return std::nullopt;
  return planner.run(std::move(*top));
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
