#include "engine/image/archive_load.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "engine/image/image_row.h"
#include "engine/image/layer_file.h"
#include "engine/image/layer_stack.h"
#include "engine/image/progress.h"
#include "engine/image/rare_compression.h"
#include "engine/image/rootfs_image.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

class Loader {
 public:
  Loader(storage::Store& store, const LoadOptions& options)
      : store_(store), options_(options), progress_(options.on_event) {}

  LoadedImage load(const ArchiveFiles& files, const ArchiveImage& image,
                   const std::vector<oci::Reference>& names) {
    progress_.send({.kind = PullEvent::Kind::kResolved, .text = image.top_digest.str()});
    // From the first look at a layer until the image's row counts it.
    const base::UniqueFd hold = store_.hold_layers();
    unpack_layer_files(store_, find_missing(files, image), options_.layers, progress_);
    const storage::ImageRow row = make_image_row(store_,
                                                 {.manifest_digest = image.manifest_digest,
                                                  .manifest_bytes = image.manifest_bytes,
                                                  .config_bytes = image.config_bytes,
                                                  .config = image.config},
                                                 image.manifest.config.digest);
    LoadedImage loaded{.image = row.id, .digest = image.top_digest};
    for (const oci::Reference& name : names) loaded.names.push_back(name.familiar());
    loaded.changed = !is_known(row, names);
    if (loaded.changed) add(row, names);
    return loaded;
  }

 private:
  std::vector<LayerFileTask> find_missing(const ArchiveFiles& files, const ArchiveImage& image) {
    const std::vector<storage::LayerKey> copies = copy_keys(image.config.diff_ids);
    std::vector<LayerFileTask> missing;
    std::set<oci::DiffId> seen;
    for (std::size_t i = 0; i < image.layer_files.size(); ++i) {
      const oci::DiffId& id = image.config.diff_ids[i];
      if (!seen.insert(id).second) continue;
      LayerProgress layer(progress_, image.manifest.layers[i]);
      if (store_.has_layer(id.hex()) || store_.has_layer(copies[i])) {
        layer.send(PullEvent::Kind::kLayerExists);
        continue;
      }
      layer.send(PullEvent::Kind::kDownloading);
      missing.push_back(plan_task(files, image.layer_files[i], image.manifest.layers[i], id));
    }
    return missing;
  }

  LayerFileTask plan_task(const ArchiveFiles& files, const std::string& name,
                          const oci::Descriptor& blob, const oci::DiffId& id) {
    const auto load = [&files, name] { return files.load(name, ArchiveFiles::Links::kFollowed); };
    const ArchiveFile file = load();
    if (!is_rarely_compressed(file)) {
      return {.blob = blob, .diff_id = id, .read = [load](const auto& sink) {
                load().for_each_block(sink);
              }};
    }
    const storage::DecompressLimits limits{.bytes = options_.layers.limits.layer_bytes,
                                           .ratio = options_.layers.limits.ratio};
    return {.blob = describe_inflated(file, id, blob, limits),
            .diff_id = id,
            .read = [load, limits](const auto& sink) {
              for_each_inflated_block(load(), limits, sink);
            }};
  }

  bool is_known(const storage::ImageRow& row, const std::vector<oci::Reference>& names) {
    const auto is_same = [&](const std::optional<storage::ImageRow>& old) {
      return old && old->id == row.id && old->manifest_digest == row.manifest_digest &&
             old->layer_keys == row.layer_keys;
    };
    if (!is_same(store_.find_image(row.id.str()))) return false;
    return std::all_of(names.begin(), names.end(), [&](const oci::Reference& name) {
      return is_same(store_.find_image(name.str()));
    });
  }

  void add(const storage::ImageRow& row, const std::vector<oci::Reference>& names) {
    if (names.empty()) return store_.add_local_image(row, std::nullopt, "load");
    store_.add_local_image(row, names.front(), "load");
    for (auto name = names.begin() + 1; name != names.end(); ++name) {
      store_.tag_image(row.id, *name);
    }
  }

  storage::Store& store_;
  const LoadOptions& options_;
  Progress progress_;
};

// What threads and file systems throw as ours.
template <class Action>
auto translated(Action&& action) {
  try {
    return std::forward<Action>(action)();
  } catch (const std::bad_alloc&) {
    throw base::Error(base::ErrorKind::kSystem, "out of memory");
  } catch (const std::system_error& error) {
    throw base::Error(base::ErrorKind::kSystem, error.what(), error.code().value());
  }
}

ArchiveFiles open_source(storage::Store& store, const oci::Transport& source) {
  if (source.kind == oci::Transport::Kind::kOciLayout ||
      source.kind == oci::Transport::Kind::kDirectory) {
    return ArchiveFiles::of_directory(source.path);
  }
  const base::UniqueFd fd = base::open_file(source.path, O_RDONLY | O_NOCTTY);
  return ArchiveFiles::of_tar(make_seekable(fd.get(), store.staging_dir()));
}

// skopeo's `dir:`, rather than a root file system.
bool is_image_directory(const fs::path& path) {
  return fs::is_regular_file(path / "manifest.json") && fs::is_regular_file(path / "version");
}

ArchiveImage read_source(const ArchiveFiles& files, const oci::Transport& source,
                         ArchiveChoice choice) {
  choice.reference = source.reference;
  switch (source.kind) {
    case oci::Transport::Kind::kDockerArchive:
      return std::move(list_docker_images(files, choice).front());
    case oci::Transport::Kind::kDirectory:
      return read_image_directory(files, choice);
    case oci::Transport::Kind::kOciArchive:
    case oci::Transport::Kind::kOciLayout:
      break;
  }
  return std::move(list_layout_images(files, choice).front());
}

}  // namespace

std::optional<oci::Reference> name_given(const oci::Transport& source) {
  // A bare word is a tag in a layout, whose repository nobody knows; docker's archives have names.
  const bool is_bare = source.reference.find_first_of(":/") == std::string::npos;
  if (source.reference.empty() || source.reference.starts_with('@')) return std::nullopt;
  if (is_bare && source.kind != oci::Transport::Kind::kDockerArchive) return std::nullopt;
  auto name = oci::Reference::parse(source.reference);
  if (name.digest()) return std::nullopt;
  return name;
}

std::vector<LoadedImage> load_archive(storage::Store& store, int fd, const LoadOptions& options) {
  return translated([&] {
    const auto files = ArchiveFiles::of_tar(make_seekable(fd, store.staging_dir()));
    std::vector<LoadedImage> loaded;
    Loader loader(store, options);
    for (const ArchiveImage& image : list_images(files, options.choice)) {
      loaded.push_back(loader.load(files, image, image.names));
    }
    return loaded;
  });
}

LoadedImage load_from(storage::Store& store, const oci::Transport& source,
                      const LoadOptions& options) {
  return translated([&] {
    if (source.kind == oci::Transport::Kind::kDirectory && !is_image_directory(source.path)) {
      return load_rootfs(store, source.path, options);
    }
    const ArchiveFiles files = open_source(store, source);
    const auto name = name_given(source);
    return Loader(store, options)
        .load(files, read_source(files, source, options.choice),
              name ? std::vector{*name} : std::vector<oci::Reference>());
  });
}

}  // namespace engine
