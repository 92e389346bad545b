#include "engine/image/pusher.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "engine/image/index_push.h"
#include "engine/image/task_pool.h"
#include "oci/manifest.h"

namespace engine {
namespace {

using registry::PushedBlob;

constexpr std::size_t kShortId = 12;

// Layers under a licence that forbids it, Windows' for one (image-spec, layer.md; docker's foreign
// layers): they are served by others.
bool is_distributable(const std::string& media_type) {
  return media_type.find(".nondistributable.") == std::string::npos &&
         media_type.find(".foreign.") == std::string::npos;
}

struct PushedImage {
  oci::Digest digest;
  std::string bytes, media_type;
};

class Push {
 public:
  Push(SharedStore& store, registry::RemoteClient& client, const storage::ImageRow& image,
       const oci::Reference& target, const PushOptions& options,
       const std::function<void(const PushEvent&)>& on_event)
      : client_(client),
        image_(image),
        target_(target),
        options_(options),
        on_event_(on_event),
        blobs_(store, client, options.made),
        manifest_(parse(image)) {}

  // All but the manifest, which it returns.
  PushedImage run() {
    plan();
    push_layers();
    push_config();
    std::string bytes = final_manifest();
    const auto digest = oci::Digest::from_hex(base::sha256_hex(bytes));
    return {.digest = digest, .bytes = std::move(bytes), .media_type = manifest_.media_type};
  }

 private:
  struct Task {
    oci::Descriptor blob;
    oci::DiffId layer;
    std::string name() const { return layer.hex().substr(0, kShortId); }
  };

  static oci::Manifest parse(const storage::ImageRow& image) {
    auto content = oci::parse_manifest(image.manifest, {});
    auto* manifest = std::get_if<oci::Manifest>(&content);
    if (manifest == nullptr || manifest->layers.size() != image.layers.size()) {
      throw base::Error(base::ErrorKind::kCorrupt,
                        "image " + image.id.str() + ": its manifest is of another image");
    }
    return std::move(*manifest);
  }

  // Each blob once, as docker lists them: the uppermost first.
  void plan() {
    for (std::size_t i = image_.layers.size(); i-- > 0;) {
      const oci::Descriptor& blob = manifest_.layers[i];
      const bool is_known = std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) {
        return task.blob.digest == blob.digest;
      });
      if (is_known) continue;
      Task task{.blob = blob, .layer = image_.layers[i]};
      if (is_distributable(blob.media_type)) {
        tell(task, PushEvent::Kind::kPreparing);
        tasks_.push_back(std::move(task));
      } else {
        tell(task, PushEvent::Kind::kSkipped);
      }
    }
    // The largest decides when the push ends: it must not be the last to begin.
    std::stable_sort(tasks_.begin(), tasks_.end(), [](const Task& left, const Task& right) {
      return left.blob.size > right.blob.size;
    });
  }

  void push_layers() {
    TaskPool pool([this] { client_.cancel(); });
    pool.run(options_.parallel, tasks_.size(),
             [this](std::size_t index) { push_layer(tasks_[index]); });
  }

  void push_layer(const Task& task) {
    const auto mounts = blobs_.find_mounts(task.blob, image_, target_);
    const std::string from = mounts.empty() ? std::string() : mounts.front();
    std::optional<BlobFile> file = blobs_.find_kept(task.blob);
    if (!file) {
      // Without the bytes at hand it is cheaper to ask first whether they are needed.
      const PushedBlob known = client_.push_blob(
          target_, {.digest = task.blob.digest, .size = task.blob.size, .mount_from = from}, -1,
          {});
      if (known != PushedBlob::kAbsent) return tell_end(task, known, from);
      file = blobs_.obtain(task.blob, task.layer, image_);
    }
    send(task, *file, from);
  }

  void send(const Task& task, const BlobFile& file, const std::string& from) {
    std::chrono::steady_clock::time_point told;
    const auto on_progress = [&](std::uint64_t sent) {
      const auto now = std::chrono::steady_clock::now();
      if (now - told < std::chrono::milliseconds(100)) return;
      told = now;
      tell(task, PushEvent::Kind::kPushing, {}, sent);
    };
    if (file.digest != task.blob.digest) {
      const std::lock_guard lock(mutex_);
      replaced_.emplace(task.blob.digest.str(), std::pair(file.digest, file.size));
    }
    tell(task, PushEvent::Kind::kPushing);
    const PushedBlob result = client_.push_blob(target_,
                                                {.digest = file.digest,
                                                 .size = file.size,
                                                 .mount_from = from,
                                                 .chunk_bytes = options_.chunk_bytes},
                                                file.fd.get(), on_progress);
    tell_end(task, result, from);
  }

  // As it came, unless a layer had to be compressed anew.
  std::string final_manifest() const {
    if (replaced_.empty()) return image_.manifest;
    auto json = nlohmann::ordered_json::parse(image_.manifest);
    const bool is_docker = manifest_.media_type == oci::kDockerManifest;
    for (auto& layer : json.at("layers")) {
      const auto found = replaced_.find(layer.at("digest").get<std::string>());
      if (found == replaced_.end()) continue;
      layer["mediaType"] = is_docker ? oci::kDockerLayerGzip : oci::kOciLayerGzip;
      layer["digest"] = found->second.first.str();
      layer["size"] = found->second.second;
    }
    return json.dump();
  }

  void tell_end(const Task& task, PushedBlob result, const std::string& from) {
    switch (result) {
      case PushedBlob::kExists:
        return tell(task, PushEvent::Kind::kExists);
      case PushedBlob::kMounted:
        return tell(task, PushEvent::Kind::kMounted, from);
      case PushedBlob::kUploaded:
      case PushedBlob::kAbsent:
        return tell(task, PushEvent::Kind::kPushed);
    }
  }

  void push_config() {
    const base::UniqueFd file(base::check(memfd_create("config", MFD_CLOEXEC), "memfd_create"));
    base::write_all(file.get(), image_.config);
    client_.push_blob(target_, {.digest = manifest_.config.digest, .size = image_.config.size()},
                      file.get(), {});
  }

  void tell(const Task& task, PushEvent::Kind kind, const std::string& text = {},
            std::uint64_t current = 0) {
    const std::lock_guard lock(events_);
    on_event_({.kind = kind,
               .layer = task.name(),
               .current = current,
               .total = task.blob.size,
               .text = text});
  }

  registry::RemoteClient& client_;
  const storage::ImageRow& image_;
  const oci::Reference& target_;
  const PushOptions& options_;
  const std::function<void(const PushEvent&)>& on_event_;
  PushBlobs blobs_;
  oci::Manifest manifest_;
  std::vector<Task> tasks_;
  std::map<std::string, std::pair<oci::Digest, std::uint64_t>> replaced_;  // digest and size
  std::mutex mutex_;                                                       // of replaced_
  std::mutex events_;
};

// The image's manifest, or all of its index.
class NamedPush {
 public:
  NamedPush(storage::Store& store, registry::RemoteClient& client, const oci::Reference& target,
            const PushOptions& options, const std::function<void(const PushEvent&)>& on_event)
      : shared_(store),
        client_(client),
        target_(target),
        options_(options),
        on_event_(on_event),
        blobs_(shared_, client, options.made) {}

  PushResult run(const storage::ImageRow& image) {
    std::optional<IndexPlan> plan;
    if (options_.scope == PushScope::kAll) {
      plan = plan_index_push(shared_, client_, image, target_);
    }
    const PushedImage pushed = push_contents(image);
    if (!plan) return name(pushed, {});
    if (plan->is_complete && is_unchanged(pushed, image) && push_rest(*plan, image)) {
      put(pushed);
      for (const PlannedIndex& inner : plan->inner) put(as_pushed(inner));
      return name(as_pushed(plan->index), {});
    }
    return name(pushed,
                "Not all multiplatform-content is present and only the available single-platform "
                "image was pushed: " +
                    plan->index.digest.str() + " -> " + pushed.digest.str());
  }

 private:
  PushedImage push_contents(const storage::ImageRow& image) {
    return Push(shared_, client_, image, target_, options_, on_event_).run();
  }

  static bool is_unchanged(const PushedImage& pushed, const storage::ImageRow& image) {
    return pushed.digest == image.manifest_digest;
  }

  static PushedImage as_pushed(const PlannedIndex& index) {
    return {.digest = index.digest, .bytes = index.bytes, .media_type = index.media_type};
  }

  bool push_rest(const IndexPlan& plan, const storage::ImageRow& image) {
    for (const storage::ImageRow& other : plan.images) {
      const PushedImage pushed = push_contents(other);
      if (!is_unchanged(pushed, other)) return false;
      put(pushed);
    }
    return std::all_of(plan.companions.begin(), plan.companions.end(),
                       [&](const oci::Descriptor& companion) {
                         return copy_companion(blobs_, client_, companion, image, target_);
                       });
  }

  // Under its digest.
  void put(const PushedImage& pushed) {
    client_.push_manifest(target_.with_digest(pushed.digest), pushed.bytes, pushed.media_type);
  }

  PushResult name(const PushedImage& pushed, std::string note) {
    client_.push_manifest(target_, pushed.bytes, pushed.media_type);
    return {.digest = pushed.digest,
            .manifest = pushed.bytes,
            .media_type = pushed.media_type,
            .note = std::move(note)};
  }

  SharedStore shared_;
  registry::RemoteClient& client_;
  const oci::Reference& target_;
  const PushOptions& options_;
  const std::function<void(const PushEvent&)>& on_event_;
  PushBlobs blobs_;
};

}  // namespace

PushResult push(storage::Store& store, registry::RemoteClient& client,
                const storage::ImageRow& image, const oci::Reference& target,
                const PushOptions& options, const std::function<void(const PushEvent&)>& on_event) {
  return NamedPush(store, client, target, options, on_event).run(image);
}

void prepare_push(storage::Store& store, registry::RemoteClient& client,
                  const storage::ImageRow& image, const oci::Reference& target,
                  const PushOptions& options, MadeBlobs& made) {
  SharedStore shared(store);
  PushBlobs blobs(shared, client, &made);
  blobs.make_with_programs(image, target);
  if (options.scope == PushScope::kOnePlatform) return;
  for (const oci::Digest& index : storage::indexes_of_image(store, image.id)) {
    for (const oci::ImageId& other : storage::images_of_index(store, index)) {
      if (other != image.id) blobs.make_with_programs(store.load_image(other), target);
    }
  }
}

std::vector<std::string> list_origins(storage::Store& store, const storage::ImageRow& image) {
  std::vector<std::string> origins;
  const auto add = [&](const storage::ImageRow& row) {
    const auto named = origins_of(store, row, std::nullopt);
    origins.insert(origins.end(), named.begin(), named.end());
    const auto content = oci::parse_manifest(row.manifest, {});
    const auto* manifest = std::get_if<oci::Manifest>(&content);
    if (manifest == nullptr) return;
    for (const oci::Descriptor& layer : manifest->layers) {
      if (const auto blob = store.find_blob(layer.digest)) origins.push_back(blob->origin);
    }
  };
  add(image);
  for (const oci::Digest& index : storage::indexes_of_image(store, image.id)) {
    for (const oci::ImageId& other : storage::images_of_index(store, index)) {
      if (other != image.id) add(store.load_image(other));
    }
  }
  std::sort(origins.begin(), origins.end());
  origins.erase(std::unique(origins.begin(), origins.end()), origins.end());
  std::erase(origins, "");
  return origins;
}

}  // namespace engine
