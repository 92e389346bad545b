#include "engine/cache_prune.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "base/disk_usage.h"
#include "base/error.h"
#include "base/time.h"
#include "engine/cache_usage.h"
#include "engine/image_helper.h"
#include "engine/networks.h"
#include "oci/image_config.h"
#include "storage/indexes.h"
#include "storage/unused_images.h"

namespace engine {
namespace {

using Labels = std::map<std::string, std::string>;

constexpr base::Nanoseconds kSecond = 1'000'000'000;

base::Nanoseconds parse_until(const std::string& text, base::Nanoseconds now) {
  std::int64_t seconds = 0;
  const auto number = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (number.ec == std::errc() && number.ptr == text.data() + text.size()) return seconds * kSecond;
  if (text.find('T') != std::string::npos) return base::parse_rfc3339(text);
  if (text.size() == 10 && text[4] == '-') return base::parse_rfc3339(text + "T00:00:00Z");
  return now - base::parse_duration(text);
}

bool has_label(const Labels& labels, const std::string& wanted) {
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

bool matches(const PruneFilter& filter, base::Nanoseconds created, const Labels& labels) {
  if (filter.until && created >= *filter.until) return false;
  const auto has = [&](const std::string& wanted) { return has_label(labels, wanted); };
  return std::all_of(filter.labels.begin(), filter.labels.end(), has) &&
         std::none_of(filter.without_labels.begin(), filter.without_labels.end(), has);
}

Labels labels_of(const std::string& json) {
  const auto document = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  return document.is_object() ? document.get<Labels>() : Labels{};
}

// Only where a filter asks: each config is parsed.
Labels labels_of(const storage::ImageRow& image, const PruneFilter& filter) {
  if (filter.labels.empty() && filter.without_labels.empty()) return {};
  return oci::parse_image_config(image.config).labels;
}

// What goes when these images go: the layers that no other image has.
std::uint64_t layers_only_of(storage::Store& store, const std::vector<storage::ImageRow>& images,
                             const std::set<oci::ImageId>& gone) {
  std::set<storage::LayerKey> stay;
  std::set<storage::LayerKey> go;
  for (const storage::ImageRow& image : images) {
    auto& keys = gone.contains(image.id) ? go : stay;
    keys.insert(image.layer_keys.begin(), image.layer_keys.end());
    for (const oci::DiffId& id : image.layers) keys.insert(id.hex());
  }
  std::uint64_t bytes = 0;
  for (const storage::LayerKey& key : go) {
    if (!stay.contains(key)) bytes += store.layer_size(key);
  }
  return bytes;
}

std::vector<std::string> familiar_names(const std::vector<storage::ImageName>& names,
                                        const oci::ImageId& image) {
  std::vector<std::string> texts;
  for (const storage::ImageName& name : names) {
    if (name.image != image) continue;
    const std::string tail = name.tag.empty()
                                 ? "@" + (name.digest ? name.digest->str() : std::string())
                                 : ":" + name.tag;
    texts.push_back(oci::Reference::parse(name.repository + tail).familiar());
  }
  return texts;
}

}  // namespace

PruneFilter parse_prune_filter(const std::vector<std::string>& filters, base::Nanoseconds now) {
  PruneFilter result;
  for (const std::string& filter : filters) {
    if (filter.starts_with("until=")) {
      result.until = parse_until(filter.substr(6), now);
    } else if (filter.starts_with("label!=")) {
      result.without_labels.push_back(filter.substr(7));
    } else if (filter.starts_with("label=")) {
      result.labels.push_back(filter.substr(6));
    } else {
      throw base::Error(base::ErrorKind::kInvalid,
                        "invalid filter '" + filter.substr(0, filter.find_first_of("=!")) + "'");
    }
  }
  return result;
}

void PruneReport::add(PruneReport other) {
  const auto append = [](std::vector<std::string>& to, std::vector<std::string>& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(containers, other.containers);
  append(networks, other.networks);
  append(volumes, other.volumes);
  append(untagged, other.untagged);
  append(images, other.images);
  append(blobs, other.blobs);
  bytes += other.bytes;
}

std::vector<oci::ImageId> plan_image_prune(const std::vector<storage::ImageRow>& images,
                                           const std::vector<storage::ImageName>& names,
                                           const std::vector<storage::ContainerRow>& containers,
                                           PruneWhich which, const PruneFilter& filter) {
  std::set<oci::ImageId> kept;
  for (const storage::ContainerRow& row : containers) kept.insert(row.image);
  if (which == PruneWhich::kDangling) {
    for (const storage::ImageName& name : names) {
      if (!name.tag.empty()) kept.insert(name.image);
    }
  }
  std::vector<oci::ImageId> plan;
  for (const storage::ImageRow& image : images) {
    if (kept.contains(image.id)) continue;
    if (matches(filter, image.created, labels_of(image, filter))) plan.push_back(image.id);
  }
  return plan;
}

PruneReport prune_images(Engine& engine, PruneWhich which, const PruneFilter& filter,
                         PruneMode mode) {
  using storage::Store;
  Store& store = engine.store();
  const auto images = store.list_images();
  const auto names = store.list_names();
  std::set<oci::ImageId> gone;
  PruneReport report;
  std::vector<storage::ImageRow> candidates = images;
  if (which == PruneWhich::kDangling) {
    const auto kept = storage::images_beside_tags(store);
    std::erase_if(candidates,
                  [&](const storage::ImageRow& image) { return kept.contains(image.id); });
  }
  for (const oci::ImageId& id :
       plan_image_prune(candidates, names, store.list_containers(), which, filter)) {
    if (mode == PruneMode::kRemove) {
      const auto how =
          which == PruneWhich::kDangling ? storage::Unused::kUntagged : storage::Unused::kAny;
      // Sizes are read before the rows go; an image that stays gives nothing.
      std::set<oci::ImageId> with = gone;
      with.insert(id);
      const std::uint64_t bytes =
          layers_only_of(store, images, with) - layers_only_of(store, images, gone);
      const auto removed = storage::remove_unused_image(store, id, how);
      if (!removed) continue;
      report.bytes += bytes;
    }
    gone.insert(id);
    for (std::string& name : familiar_names(names, id)) report.untagged.push_back(std::move(name));
    report.images.push_back(id.str());
  }
  if (mode == PruneMode::kDryRun) report.bytes = layers_only_of(store, images, gone);
  return report;
}

PruneReport prune_containers(Engine& engine, const PruneFilter& filter, PruneMode mode) {
  PruneReport report;
  for (const ContainerInfo& info : engine.list_containers()) {
    using enum storage::ContainerStatus;
    const auto status = info.row.status;
    if (status != kExited && status != kCreated && status != kDead) continue;
    if (!matches(filter, info.row.created, labels_of(info.row.labels))) continue;
    const std::uint64_t bytes =
        base::disk_usage_of_each({engine.store().container_dir(info.row.id)}).front();
    if (mode == PruneMode::kRemove) {
      try {
        engine.remove(info.row.id, Engine::RemoveForce::kNo, Engine::RemoveVolumes::kNo);
      } catch (const base::Error& error) {
        // Started or removed since.
        if (error.kind() != base::ErrorKind::kConflict &&
            error.kind() != base::ErrorKind::kNotFound) {
          throw;
        }
        continue;
      }
    }
    report.bytes += bytes;
    report.containers.push_back(info.row.id);
  }
  return report;
}

PruneReport prune_unused_networks(Engine& engine, const PruneFilter& filter, PruneMode mode) {
  PruneReport report;
  const auto keep = [&](const NetworkInfo& info) {
    if (!matches(filter, info.row.created, labels_of(info.row.labels))) return true;
    if (mode == PruneMode::kDryRun) report.networks.push_back(info.row.name);
    return mode == PruneMode::kDryRun;
  };
  std::vector<std::string> removed = prune_networks(engine, keep);
  if (mode == PruneMode::kRemove) report.networks = std::move(removed);
  return report;
}

namespace {

// A container that was made meanwhile keeps it.
bool remove_unused(storage::Store& store, const std::string& volume) {
  try {
    store.remove_volume(volume);
    return true;
  } catch (const base::Error& error) {
    if (error.kind() == base::ErrorKind::kConflict || error.kind() == base::ErrorKind::kNotFound) {
      return false;
    }
    throw;
  }
}

}  // namespace

PruneReport prune_volumes(Engine& engine, PruneWhich which, const PruneFilter& filter,
                          PruneMode mode) {
  storage::Store& store = engine.store();
  std::set<std::string> used;
  for (const ContainerInfo& info : engine.list_containers()) {
    for (std::string& name : volumes_of(info.options)) used.insert(std::move(name));
  }
  PruneReport report;
  for (const storage::VolumeRow& row : store.list_volumes()) {
    if (used.contains(row.name)) continue;
    if (which == PruneWhich::kDangling && !row.anonymous) continue;
    if (!matches(filter, row.created, labels_of(row.labels))) continue;
    const std::uint64_t bytes =
        base::disk_usage_of_each({store.volume_dir(row.name).parent_path()}).front();
    if (mode == PruneMode::kRemove && !remove_unused(store, row.name)) continue;
    report.bytes += bytes;
    report.volumes.push_back(row.name);
  }
  return report;
}

PruneReport prune_blobs(Engine& engine, PruneMode mode) {
  const auto blobs = engine.store().list_blobs();
  if (std::none_of(blobs.begin(), blobs.end(), [](const auto& row) { return row.kept; })) return {};
  HelperCommand command{.words = {"evict", "--all"}};
  if (mode == PruneMode::kDryRun) command.words.emplace_back("--dry-run");
  const nlohmann::json result = run_image_helper(engine.config(), command, {});
  PruneReport report;
  report.bytes = result.value("bytes", std::uint64_t{0});
  report.blobs = result.value("evicted", std::vector<std::string>{});
  return report;
}

}  // namespace engine
