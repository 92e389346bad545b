#include "engine/image/puller.h"

#include <algorithm>
#include <new>
#include <optional>
#include <set>
#include <sys/statvfs.h>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "engine/image/image_check.h"
#include "engine/image/image_row.h"
#include "engine/image/layer_fetch.h"
#include "engine/image/layer_stack.h"
#include "engine/image/progress.h"
#include "engine/image/shared_store.h"
#include "engine/image/task_pool.h"
#include "storage/indexes.h"

namespace engine {
namespace {

// Each layer once, in the manifest's order, those that are here already reported and left out.
std::vector<LayerTask> find_missing(storage::Store& store, const oci::Manifest& manifest,
                                    const std::vector<oci::DiffId>& diff_ids, Progress& progress) {
  const std::vector<storage::LayerKey> copies = copy_keys(diff_ids);
  std::vector<LayerTask> missing;
  std::set<oci::DiffId> seen;
  for (std::size_t i = 0; i < diff_ids.size(); ++i) {
    const oci::Descriptor& blob = manifest.layers[i];
    const bool first = seen.insert(diff_ids[i]).second;
    const bool present = store.has_layer(diff_ids[i].hex()) || store.has_layer(copies[i]);
    LayerProgress layer(progress, blob);
    if (present) {
      if (first) layer.send(PullEvent::Kind::kLayerExists);
      continue;
    }
    if (std::any_of(missing.begin(), missing.end(),
                    [&](const LayerTask& task) { return task.diff_id == diff_ids[i]; })) {
      continue;
    }
    layer.send(PullEvent::Kind::kDownloading);
    missing.push_back({blob, diff_ids[i]});
  }
  return missing;
}

// A layer takes more on disk than in transit, so this finds only the hopeless cases, but before
// anything is transferred.
void check_free_space(const storage::Store& store, const std::vector<LayerTask>& tasks) {
  std::uint64_t needed = 0;
  for (const LayerTask& task : tasks) {
    if (__builtin_add_overflow(needed, task.blob.size, &needed)) needed = UINT64_MAX;
  }
  struct statvfs info = {};
  base::check(statvfs(store.root().c_str(), &info), store.root().string());
  const std::uint64_t available = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  if (needed <= available) return;
  throw base::Error(base::ErrorKind::kNoSpace,
                    "no space left on device: at least " + base::human_size(needed) + " needed, " +
                        base::human_size(available) + " free in " + store.root().string());
}

storage::KeptIndex read_index(const oci::Digest& digest, const std::string& bytes) {
  const auto content = oci::parse_manifest(bytes, {});
  storage::KeptIndex index{.digest = digest, .bytes = bytes, .manifests = {}, .inner = {}};
  for (const oci::Descriptor& entry : std::get<oci::Index>(content).manifests) {
    index.manifests.push_back(entry.digest);
  }
  return index;
}

std::optional<storage::KeptIndex> kept_index(const registry::ResolvedImage& resolved) {
  if (!resolved.index_bytes) return std::nullopt;
  storage::KeptIndex index = read_index(resolved.top_digest, *resolved.index_bytes);
  for (const std::string& bytes : resolved.inner_indexes) {
    index.inner.push_back(read_index(oci::Digest::from_hex(base::sha256_hex(bytes)), bytes));
  }
  // From the inside out, so that each names what those within it name.
  for (std::size_t i = index.inner.size(); i-- > 0;) {
    storage::KeptIndex& outer = i > 0 ? index.inner[i - 1] : index;
    const auto& manifests = index.inner[i].manifests;
    outer.manifests.insert(outer.manifests.end(), manifests.begin(), manifests.end());
  }
  return index;
}

// Whether the store says all of this already, so that nothing is to be written.
bool is_known(storage::Store& store, const storage::ImageRow& row, const oci::Reference& name,
              const oci::Digest& repo_digest) {
  const auto old = store.find_image(name.str());
  if (!old || old->id != row.id || old->manifest_digest != row.manifest_digest ||
      old->layer_keys != row.layer_keys) {
    return false;
  }
  const auto names = store.list_names();
  return std::any_of(names.begin(), names.end(), [&](const storage::ImageName& entry) {
    return entry.repository == name.repository() && entry.image == row.id &&
           entry.digest == repo_digest;
  });
}

class Pull {
 public:
  Pull(storage::Store& store, registry::RemoteClient& client, const oci::Reference& reference,
       const PullOptions& options, const std::function<void(const PullEvent&)>& on_event)
      : store_(store),
        reference_(reference),
        options_(options),
        client_(client),
        progress_(on_event) {}

  PullResult run() {
    if (const auto current = find_current()) return *current;
    const registry::ResolvedImage resolved =
        client_.resolve(reference_, options_.platform, options_.choice);
    if (resolved.manifest_bytes.size() > options_.manifest_bytes) {
      throw base::Error(
          base::ErrorKind::kInvalid,
          "its manifest is larger than " + std::to_string(options_.manifest_bytes) + " bytes");
    }
    const oci::ImageConfig config = check_image(resolved);
    tell_resolved(resolved.top_digest);
    // From the first look at a layer until the image's row counts it.
    const base::UniqueFd hold = store_.hold_layers();
    fetch(resolved, config);
    const storage::ImageRow row = make_image_row(store_,
                                                 {.manifest_digest = resolved.manifest_digest,
                                                  .manifest_bytes = resolved.manifest_bytes,
                                                  .config_bytes = resolved.config_bytes,
                                                  .config = config},
                                                 resolved.manifest.config.digest);
    const auto index = kept_index(resolved);
    const bool is_new = !is_known(store_, row, reference_, resolved.top_digest);
    PullResult result = {
        .image = row.id, .digest = resolved.top_digest, .changed = is_new, .warning = {}};
    for (const std::string& warning : resolved.warnings) {
      result.warning += (result.warning.empty() ? "" : "; ") + warning;
    }
    // A store of an older sampan has the image without its index.
    if (is_new || (index && !storage::find_index(store_, index->digest))) {
      if (index) storage::keep_index(store_, *index, reference_, row.id);
      store_.add_image(row, reference_, resolved.top_digest);
    }
    return result;
  }

 private:
  void tell_resolved(const oci::Digest& digest) {
    progress_.send({.kind = PullEvent::Kind::kResolved,
                    .layer = {},
                    .current = 0,
                    .total = 0,
                    .text = digest.str()});
  }

  // What the tag names here, where the registry's tag still has a digest that this image has. It is
  // asked by HEAD, which registries that limit the number of pulls do not count.
  std::optional<PullResult> find_current() {
    if (reference_.digest()) return std::nullopt;
    const auto image = store_.find_image(reference_.str());
    if (!image || !is_whole(*image)) return std::nullopt;
    // Of a near platform the index may have a better one for us.
    const auto config = oci::parse_image_config(image->config);
    if (oci::normalize(config.platform) != oci::normalize(options_.platform)) return std::nullopt;
    const oci::Digest digest = client_.find_digest(reference_);
    const auto names = store_.list_names();
    const bool is_known =
        std::any_of(names.begin(), names.end(), [&](const storage::ImageName& name) {
          return name.repository == reference_.repository() && name.image == image->id &&
                 name.digest == digest;
        });
    const bool has_index =
        digest == image->manifest_digest || storage::find_index(store_, digest).has_value();
    if (!is_known || !has_index) return std::nullopt;
    tell_resolved(digest);
    return PullResult{.image = image->id, .digest = digest, .changed = false, .warning = {}};
  }

  bool is_whole(const storage::ImageRow& image) {
    return std::all_of(image.layer_keys.begin(), image.layer_keys.end(),
                       [&](const storage::LayerKey& key) { return store_.has_layer(key); });
  }

  void fetch(const registry::ResolvedImage& resolved, const oci::ImageConfig& config) {
    std::vector<LayerTask> tasks =
        find_missing(store_, resolved.manifest, config.diff_ids, progress_);
    if (tasks.empty()) return;
    check_free_space(store_, tasks);
    // The largest decides when the pull ends: it must not be the last to begin.
    std::stable_sort(tasks.begin(), tasks.end(), [](const LayerTask& a, const LayerTask& b) {
      return a.blob.size > b.blob.size;
    });
    SharedStore shared(store_);
    TaskPool pool([this] { client_.cancel(); });
    const std::function<bool()> is_cancelled = [&] { return pool.is_cancelled(); };
    const FetchContext context{.client = client_,
                               .repository = reference_,
                               .store = shared,
                               .progress = progress_,
                               .is_cancelled = is_cancelled,
                               .limits = options_.limits,
                               .keep_blobs = options_.keep_blobs,
                               .allow_foreign_urls = options_.allow_foreign_urls};
    pool.run(options_.parallel, tasks.size(),
             [&](std::size_t index) { fetch_layer(context, tasks[index]); });
  }

  storage::Store& store_;
  const oci::Reference& reference_;
  const PullOptions& options_;
  registry::RemoteClient& client_;
  Progress progress_;
};

}  // namespace

PullResult pull(storage::Store& store, registry::RemoteClient& client,
                const oci::Reference& reference, const PullOptions& options,
                const std::function<void(const PullEvent&)>& on_event) {
  return base::while_doing("pull " + reference.familiar(), [&] {
    try {
      return Pull(store, client, reference, options, on_event).run();
    } catch (const std::bad_alloc&) {
      throw base::Error(base::ErrorKind::kSystem, "out of memory");
    } catch (const std::system_error& error) {  // of std::thread and std::filesystem
      throw base::Error(base::ErrorKind::kSystem, error.what(), error.code().value());
    }
  });
}

}  // namespace engine
