#include "engine/image/committer.h"

#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "engine/image/layer_stack.h"
#include "oci/json.h"
#include "oci/manifest.h"
#include "storage/changes.h"
#include "storage/pack/diff_tar.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 1U << 20U;
constexpr char kDockerLayer[] = "application/vnd.docker.image.rootfs.diff.tar";

// Collects small writes, hashes and writes to the spool.
class Spool {
 public:
  explicit Spool(const fs::path& folder) : fd_(base::open_file(folder, O_TMPFILE | O_RDWR, 0600)) {
    buffer_.reserve(kPiece);
  }

  void add(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() >= kPiece) flush();
  }

  NewLayer finish() {
    flush();
    return {.diff_id = oci::DiffId::from_hex(hasher_.finish()), .size = size_};
  }

  // Once finished.
  template <class Sink>
  void read_back(Sink&& sink) {
    std::string piece(kPiece, '\0');
    for (std::uint64_t at = 0; at < size_;) {
      const ssize_t count =
          base::check(pread(fd_.get(), piece.data(), piece.size(), static_cast<off_t>(at)), "read");
      if (count == 0) throw base::Error(base::ErrorKind::kCorrupt, "the spooled layer is cut");
      sink(std::string_view(piece.data(), static_cast<std::size_t>(count)));
      at += static_cast<std::uint64_t>(count);
    }
  }

 private:
  void flush() {
    hasher_.update(buffer_);
    base::write_all(fd_.get(), buffer_);
    size_ += buffer_.size();
    buffer_.clear();
  }

  base::UniqueFd fd_;
  base::Sha256Hasher hasher_;
  std::string buffer_;
  std::uint64_t size_ = 0;
};

bool is_docker(std::string_view media_type) { return media_type == oci::kDockerManifest; }

storage::DiffRoot compare_roots(const CommitJob& job) {
  struct stat upper = {};
  struct stat lower = {};
  base::check(fstat(job.upper_fd, &upper), "stat");
  base::check(fstat(job.lower_fd, &lower), "stat");
  const bool same = upper.st_mode == lower.st_mode && upper.st_uid == lower.st_uid &&
                    upper.st_gid == lower.st_gid;
  return same ? storage::DiffRoot::kLeftOut : storage::DiffRoot::kWithRoot;
}

void publish(storage::Store& store, const NewLayer& layer, Spool& spool) {
  const storage::LayerKey key = layer.diff_id.hex();
  const base::UniqueFd lock = store.lock_layer(key);
  if (store.has_layer(key)) return;
  const fs::path staging = store.make_staging("commit");
  const fs::path beside = store.make_staging("beside");  // how the tar is written again
  base::Cleanup discard([&] {
    base::remove_tree_quietly(staging);
    base::remove_tree_quietly(beside);
  });
  const oci::Descriptor blob = {
      .media_type = oci::kOciLayer, .digest = oci::Digest::from_hex(key), .size = layer.size};
  storage::LayerUnpacker unpacker(staging, blob, layer.diff_id, {}, {}, beside);
  spool.read_back([&](std::string_view bytes) { unpacker.write(bytes); });
  const storage::LayerUnpacker::Result result = unpacker.finish();
  store.publish_layer(key, layer.diff_id, staging, result.disk_bytes,
                      result.record.empty() ? std::string() : storage::render_record(result.record),
                      beside);
  discard.dismiss();
}

// nullopt where nothing changed.
std::optional<NewLayer> make_layer(storage::Store& store, const CommitJob& job) {
  if (job.upper_fd < 0) return std::nullopt;
  const auto changes = storage::list_changes(job.upper_fd, job.lower_fd, {.hidden = job.hidden});
  const storage::DiffRoot root = compare_roots(job);
  if (changes.empty() && root == storage::DiffRoot::kLeftOut) return std::nullopt;
  Spool spool(store.staging_dir());
  storage::TarWriter writer([&](std::string_view bytes) { spool.add(bytes); }, job.latest_time);
  storage::write_diff(writer, job.upper_fd, changes, root);
  writer.finish();
  const NewLayer layer = spool.finish();
  publish(store, layer, spool);
  return layer;
}

void check_layer_count(const storage::ImageRow& parent) {
  if (parent.layers.size() < oci::kMaxLayers) return;
  throw base::Error(base::ErrorKind::kInvalid,
                    "the image has " + std::to_string(parent.layers.size()) +
                        " layers already: the kernel's overlay takes no more");
}

std::uint64_t disk_size(storage::Store& store, const std::vector<storage::LayerKey>& keys) {
  std::uint64_t size = 0;
  for (const storage::LayerKey& key : keys) size += store.layer_size(key);
  return size;
}

}  // namespace

std::string render_child_manifest(std::string_view parent, std::string_view config,
                                  const NewLayer* layer) {
  nlohmann::json document = parent.empty() ? nlohmann::json::object() : oci::parse_json(parent, {});
  const std::string media_type = document.value("mediaType", std::string(oci::kOciManifest));
  nlohmann::ordered_json manifest = {
      {"schemaVersion", 2},
      {"mediaType", is_docker(media_type) ? oci::kDockerManifest : oci::kOciManifest},
      {"config",
       {{"mediaType", is_docker(media_type) ? oci::kDockerConfig : oci::kOciConfig},
        {"size", config.size()},
        {"digest", "sha256:" + base::sha256_hex(config)}}},
      {"layers", nlohmann::ordered_json::array()}};
  if (const auto layers = document.find("layers"); layers != document.end()) {
    for (const auto& old : *layers) manifest["layers"].push_back(nlohmann::ordered_json(old));
  }
  if (layer != nullptr) {
    manifest["layers"].push_back(
        {{"mediaType", is_docker(media_type) ? kDockerLayer : oci::kOciLayer},
         {"size", layer->size},
         {"digest", layer->diff_id.str()}});
  }
  return manifest.dump();
}

oci::ImageId commit(storage::Store& store, const CommitJob& job) {
  check_layer_count(job.parent);
  // From the first look at a layer until the image's row counts it.
  const base::UniqueFd hold = store.hold_layers();
  const std::optional<NewLayer> layer = make_layer(store, job);
  oci::ImageConfig config = job.config;
  if (layer) {
    config.diff_ids.push_back(layer->diff_id);
  } else if (!config.history.empty()) {
    config.history.back().empty_layer = true;
  }
  storage::ImageRow row = job.parent;
  row.config = oci::render_image_config(config);
  row.id = oci::ImageId::from_hex(base::sha256_hex(row.config));
  row.manifest = render_child_manifest(job.parent.manifest, row.config, layer ? &*layer : nullptr);
  row.manifest_digest = oci::Digest::from_hex(base::sha256_hex(row.manifest));
  row.layers = config.diff_ids;
  row.layer_keys = stack_layers(store, row.layers);
  row.size = disk_size(store, row.layer_keys);
  row.created = base::parse_rfc3339(config.created);
  row.pulled = base::now();
  if (layer) store.remember_blob(oci::Digest::from_hex(layer->diff_id.hex()), layer->diff_id);
  std::optional<oci::Reference> name;
  if (!job.name.empty()) name = oci::Reference::parse(job.name);
  store.add_local_image(row, name, "commit");
  return row.id;
}

}  // namespace engine
