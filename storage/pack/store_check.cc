#include "storage/pack/store_check.h"

#include <algorithm>
#include <fcntl.h>
#include <map>
#include <set>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "storage/database.h"
#include "storage/layer_use.h"
#include "storage/locks.h"
#include "storage/pack/blob_rebuild.h"
#include "storage/pack/layer_tar.h"
#include "storage/pack/record_reader.h"
#include "storage/unused_images.h"

namespace storage {
namespace {

std::string short_id(std::string_view hex) { return std::string(hex.substr(0, 12)); }

bool is_real_directory(const fs::path& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

struct LayerEntry {
  LayerKey key, diff_id;
  bool is_copy() const { return key != diff_id; }
};

class StoreCheck {
 public:
  StoreCheck(Store& store, CheckDepth depth, CheckRepair repair)
      : store_(store), depth_(depth), repair_(repair) {}

  std::vector<Finding> run() {
    store_.sweep(Store::Sweep::kAllButTrash);
    check_database();
    {
      const base::UniqueFd hold = store_.hold_layers();
      check_blobs();
      check_layers();
    }
    check_images();
    check_directories();
    return std::move(findings_);
  }

 private:
  Finding& report(std::string object, std::string text) {
    findings_.push_back({.object = std::move(object), .text = std::move(text), .repaired = {}});
    return findings_.back();
  }

  void check_database() {
    Statement query = depth_ == CheckDepth::kFull
                          ? store_.database().prepare("PRAGMA integrity_check")
                          : store_.database().prepare("PRAGMA quick_check");
    while (query.step()) {
      if (const std::string text = query.text(0); text != "ok") report("database", text);
    }
  }

  void check_blobs() {
    for (const BlobRow& blob : store_.list_blobs()) {
      if (!blob.kept) continue;
      std::string wrong = wrong_with(blob);
      if (wrong.empty()) continue;
      Finding& finding = report("blob " + short_id(blob.digest.hex()), std::move(wrong));
      if (repair_ == CheckRepair::kNo) continue;
      store_.drop_blob(blob.digest);
      finding.repaired = "removed";
    }
  }

  std::string wrong_with(const BlobRow& blob) {
    struct stat info = {};
    if (lstat(store_.blob_path(blob.digest).c_str(), &info) != 0) return "its file is missing";
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (blob.size != 0 && size != blob.size) {
      return "has " + std::to_string(size) + " bytes instead of " + std::to_string(blob.size);
    }
    if (depth_ == CheckDepth::kQuick) return {};
    return error_of([&] { write_blob(store_, blob, [](std::string_view) {}); });
  }

  void check_layers() {
    std::vector<LayerEntry> layers;
    {
      Statement query = store_.database().prepare("SELECT key,diff_id FROM layers ORDER BY key");
      while (query.step()) layers.push_back({query.text(0), query.text(1)});
    }
    for (const LayerEntry& layer : layers) {
      if (!store_.has_layer(layer.key)) continue;  // of another boot: the next pull replaces it
      std::string wrong = wrong_with(layer);
      if (wrong.empty()) continue;
      report("layer " + short_id(layer.key), std::move(wrong));
      broken_[layer.key] = findings_.size() - 1;
      // The copies' files are those of the layer that they were made from.
      for (const LayerEntry& copy : layers) {
        if (copy.is_copy() && copy.diff_id == layer.key)
          broken_.emplace(copy.key, findings_.size() - 1);
      }
    }
  }

  std::string wrong_with(const LayerEntry& layer) {
    if (!is_real_directory(store_.layer_dir(layer.key))) return "its directory is missing";
    if (layer.is_copy()) return {};  // checked by way of what it was copied from
    const auto id = oci::DiffId::from_hex(layer.diff_id);
    if (!has_layer_tar(store_, id)) return {};  // of an older sampan: nothing to compare with
    if (depth_ == CheckDepth::kQuick) return error_of([&] { check_files(layer.key); });
    return error_of([&] { write_layer_tar(store_, id, [](std::string_view) {}); });
  }

  // Whether each file that the record names is there and long enough.
  void check_files(const LayerKey& key) {
    const base::UniqueFd diff = base::open_file(store_.layer_dir(key), O_PATH | O_DIRECTORY);
    RecordReader reader(store_.layer_extras(key) / kTarRecordName);
    std::map<std::string, std::uint64_t> ends;
    for (;;) {
      const RecordStep step = reader.next();
      while (!reader.read_raw().empty()) {
      }
      if (step.operation == TarOperation::kEnd) break;
      if (step.operation == TarOperation::kRaw) continue;
      if (step.operation == TarOperation::kReplaced) {
        std::erase_if(ends, [&](const auto& entry) {
          return entry.first == step.path || entry.first.starts_with(step.path + "/");
        });
        continue;
      }
      std::uint64_t& end = ends[step.path];
      end = std::max(end, step.offset + step.size);
    }
    for (const auto& [path, end] : ends) {
      const auto file = base::find_in_root(diff.get(), path, O_PATH | O_NOFOLLOW);
      struct stat info = {};
      if (!file || fstat(file->get(), &info) != 0) {
        throw base::Error(base::ErrorKind::kCorrupt, path + " is missing");
      }
      if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) < end) {
        throw base::Error(base::ErrorKind::kCorrupt, path + " is shorter than it was");
      }
    }
  }

  void check_images() {
    std::map<oci::ImageId, std::string> names;
    for (const ImageName& name : store_.list_names()) {
      names.emplace(name.image, name.repository + (name.tag.empty() ? "" : ":" + name.tag));
    }
    std::set<LayerKey> needed;
    for (const ImageRow& image : store_.list_images()) {
      const auto named = names.find(image.id);
      const std::string object =
          "image " + (named == names.end() ? short_id(image.id.hex()) : named->second);
      const std::string wrong = wrong_with(image);
      if (!wrong.empty()) drop_image(image, report(object, wrong));
    }
    if (repair_ == CheckRepair::kYes) drop_layers();
  }

  std::string wrong_with(const ImageRow& image) {
    if (base::sha256_hex(image.config) != image.id.hex())
      return "its config is not what its id says";
    if (!image.manifest.empty() &&
        base::sha256_hex(image.manifest) != image.manifest_digest.hex()) {
      return "its manifest is not what its digest says";
    }
    for (const LayerKey& key : image.layer_keys) {
      if (!store_.has_layer(key)) return "layer " + short_id(key) + " is missing";
      if (broken_.contains(key)) return "layer " + short_id(key) + " is damaged";
    }
    return {};
  }

  void drop_image(const ImageRow& image, Finding& finding) {
    if (repair_ == CheckRepair::kNo) return;
    const auto containers = store_.list_containers();
    const auto user = std::find_if(containers.begin(), containers.end(),
                                   [&](const auto& row) { return row.image == image.id; });
    if (user != containers.end()) {
      finding.text += "; container " + short_id(user->id) + " uses it";
      return;
    }
    if (!remove_unused_image(store_, image.id, Unused::kAny)) return;
    finding.repaired = "removed: pull it again";
  }

  // Those that no image has any more, and whose rows removals may have left.
  void drop_layers() {
    const auto own = try_own_layers(store_.root());
    Database& database = store_.database();
    std::vector<LayerKey> dropped;
    {
      Transaction transaction(database);
      const std::set<LayerKey> used = layers_in_use(database);
      for (const auto& [key, finding] : broken_) {
        if (used.contains(key)) continue;
        if (own) forget_layer(database, key);
        dropped.push_back(key);
        findings_[finding].repaired = "removed";
      }
      transaction.commit();
    }
    if (dropped.empty() || !own) return;
    database.sync();
    trash_layers(store_, dropped);
  }

  // After the sweep there is no directory without its row: one that is there all the same could not
  // be removed.
  void check_directories() {
    for (const fs::path& entry : list_entries(store_.root() / "layers")) {
      Statement query = store_.database().prepare("SELECT 1 FROM layers WHERE key=?");
      const std::string key = entry.filename();
      query.bind(key);
      if (!query.step()) report("directory layers/" + key, "belongs to no layer");
    }
    for (const fs::path& entry : list_entries(store_.root() / "containers")) {
      if (!store_.find_container(entry.filename().string())) {
        report("directory containers/" + entry.filename().string(), "belongs to no container");
      }
    }
    for (const VolumeRow& row : store_.list_volumes()) {
      if (is_real_directory(store_.volume_dir(row.name))) continue;
      Finding& finding = report("volume " + row.name, "its directory is missing");
      if (repair_ == CheckRepair::kNo) continue;
      base::make_dirs(store_.volume_dir(row.name));
      finding.repaired = "an empty one was made";
    }
  }

  template <class Action>
  std::string error_of(Action action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error.what();
    }
    return {};
  }

  Store& store_;
  const CheckDepth depth_;
  const CheckRepair repair_;
  std::vector<Finding> findings_;
  std::map<LayerKey, std::size_t> broken_;  // to what was found
};

}  // namespace

std::vector<Finding> check_store(Store& store, CheckDepth depth, CheckRepair repair) {
  return StoreCheck(store, depth, repair).run();
}

}  // namespace storage
