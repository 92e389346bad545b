#include "engine/cache_usage.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/disk_usage.h"

namespace engine {
namespace {

struct LayerSizes {
  std::map<storage::LayerKey, std::uint64_t> bytes;
  std::uint64_t total = 0;
};

// Everything below layers/, whether a row knows it or not.
LayerSizes measure_layers(const storage::Store& store) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(store.root() / "layers", ignored)) {
    folders.push_back(entry.path());
  }
  // A layer's copies have hard links to its files, and whoever comes first has them counted.
  std::sort(folders.begin(), folders.end());
  const std::vector<std::uint64_t> sizes = base::disk_usage_of_each(folders);
  LayerSizes result;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    result.bytes[folders[i].filename()] = sizes[i];
    result.total += sizes[i];
  }
  return result;
}

// The directories that an image needs: its own and those that copies are made from.
std::set<storage::LayerKey> keys_of(const storage::ImageRow& image) {
  std::set<storage::LayerKey> keys(image.layer_keys.begin(), image.layer_keys.end());
  for (const oci::DiffId& id : image.layers) keys.insert(id.hex());
  return keys;
}

void measure_images(storage::Store& store, const std::vector<ContainerInfo>& containers,
                    DiskReport& report) {
  const LayerSizes sizes = measure_layers(store);
  std::map<oci::ImageId, std::size_t> users;
  for (const ContainerInfo& info : containers) ++users[info.row.image];
  std::map<oci::ImageId, std::vector<storage::ImageName>> names;
  for (storage::ImageName& name : store.list_names()) names[name.image].push_back(std::move(name));
  std::map<storage::LayerKey, std::size_t> images_with;
  std::set<storage::LayerKey> used;
  for (storage::ImageRow& row : store.list_images()) {
    DiskReport::Image image{
        .row = std::move(row), .names = {}, .shared = 0, .unique = 0, .containers = 0};
    image.names = names[image.row.id];
    image.containers = users[image.row.id];
    for (const storage::LayerKey& key : keys_of(image.row)) {
      ++images_with[key];
      if (image.containers > 0) used.insert(key);
    }
    report.images.push_back(std::move(image));
  }
  const auto size_of = [&](const storage::LayerKey& key) {
    const auto found = sizes.bytes.find(key);
    return found == sizes.bytes.end() ? 0 : found->second;
  };
  for (DiskReport::Image& image : report.images) {
    for (const storage::LayerKey& key : keys_of(image.row)) {
      (images_with[key] > 1 ? image.shared : image.unique) += size_of(key);
    }
  }
  report.layers = sizes.total;
  for (const storage::LayerKey& key : used) report.used_layers += size_of(key);
}

void measure_blobs(storage::Store& store, DiskReport& report) {
  for (storage::BlobRow& row : store.list_blobs()) {
    if (!row.kept) continue;
    const std::uint64_t size = base::disk_usage_of_each({store.blob_path(row.digest)}).front();
    report.blobs.push_back({.row = std::move(row), .size = size});
  }
  report.other_blobs = base::disk_usage_of_each({store.root() / "blobs" / "partial"}).front();
}

}  // namespace

std::vector<std::string> volumes_of(const ContainerOptions& options) {
  std::vector<std::string> names;
  for (const MountOption& mount : options.mounts) {
    if (mount.kind == MountOption::Kind::kVolume) names.push_back(mount.source);
  }
  return names;
}

DiskReport measure_disk(Engine& engine) {
  storage::Store& store = engine.store();
  DiskReport report;
  const std::vector<ContainerInfo> containers = engine.list_containers();
  measure_images(store, containers, report);
  std::map<std::string, std::size_t> links;
  for (const ContainerInfo& info : containers) {
    const std::vector<std::string> volumes = volumes_of(info.options);
    for (const std::string& name : volumes) ++links[name];
    const std::uint64_t size = base::disk_usage_of_each({store.container_dir(info.row.id)}).front();
    report.containers.push_back({.info = info, .size = size, .volumes = volumes.size()});
  }
  for (storage::VolumeRow& row : store.list_volumes()) {
    const std::uint64_t size =
        base::disk_usage_of_each({store.volume_dir(row.name).parent_path()}).front();
    const std::size_t count = links[row.name];
    report.volumes.push_back({.row = std::move(row), .size = size, .links = count});
  }
  measure_blobs(store, report);
  return report;
}

}  // namespace engine
