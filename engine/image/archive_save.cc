#include "engine/image/archive_save.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/image/archive_output.h"
#include "engine/image/saved_image.h"
#include "oci/docker_archive.h"
#include "oci/json.h"
#include "oci/layout.h"
#include "storage/indexes.h"

namespace engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Wanted {
  storage::ImageRow row;
  std::vector<oci::Reference> names;
};

// The tags that the user's word names: one, or all of a repository.
std::vector<oci::Reference> find_tags(const std::vector<storage::ImageName>& names,
                                      const std::string& text) {
  std::vector<oci::Reference> found;
  std::optional<oci::Reference> wanted;
  try {
    wanted = oci::Reference::parse(text);
  } catch (const base::Error&) {
    return found;  // an id
  }
  if (wanted->digest()) return found;
  // What parse() adds where nothing is said.
  const bool is_tagged =
      text.rfind(':') != std::string::npos && text.find('/', text.rfind(':')) == std::string::npos;
  for (const storage::ImageName& name : names) {
    if (name.tag.empty() || name.repository != wanted->repository()) continue;
    if (is_tagged && name.tag != wanted->tag()) continue;
    found.push_back(oci::Reference::parse(name.repository + ":" + name.tag));
  }
  return found;
}

class Selection {
 public:
  Selection(storage::Store& store, const std::optional<oci::Platform>& platform)
      : store_(store), platform_(platform), names_(store.list_names()) {}

  void add(const std::string& text) {
    const auto tags = find_tags(names_, text);
    for (const oci::Reference& name : tags) {
      Wanted& wanted = of(storage::load_image_for(store_, name.familiar(), platform_));
      if (std::find(wanted.names.begin(), wanted.names.end(), name) == wanted.names.end()) {
        wanted.names.push_back(name);
      }
    }
    if (!tags.empty()) return;
    of(storage::load_image_for(store_, text, platform_));
  }

  const std::vector<Wanted>& images() const { return images_; }

 private:
  Wanted& of(storage::ImageRow row) {
    for (Wanted& image : images_) {
      if (image.row.id == row.id) return image;
    }
    return images_.emplace_back(Wanted{std::move(row), {}});
  }

  storage::Store& store_;
  const std::optional<oci::Platform>& platform_;
  std::vector<storage::ImageName> names_;
  std::vector<Wanted> images_;
};

void write_blobs(ArchiveOutput& output, const storage::Store& store, const SavedImage& image) {
  output.add(oci::layout_blob_name(image.manifest.digest), image.manifest_bytes);
  output.add(oci::layout_blob_name(image.config.digest), image.config_bytes);
  for (const SavedLayer& layer : image.layers) {
    output.add(oci::layout_blob_name(layer.blob.digest), layer.blob.size,
               [&](const ByteSink& sink) { write_saved_layer(store, layer, sink); });
  }
}

Json render_entry(const SavedImage& image) {
  return {{"mediaType", image.manifest.media_type},
          {"digest", image.manifest.digest.str()},
          {"size", image.manifest.size}};
}

// An entry for each name; containerd and podman read the whole one, others the tag.
void add_entries(Json& manifests, const SavedImage& image) {
  for (const oci::Reference& name : image.names) {
    Json entry = render_entry(image);
    entry["annotations"] = {{oci::kImageNameAnnotation, name.str()},
                            {oci::kRefNameAnnotation, name.tag().value_or("latest")}};
    manifests.push_back(std::move(entry));
  }
  if (image.names.empty()) manifests.push_back(render_entry(image));
}

std::string render_index(const Json& manifests) {
  const Json document = {
      {"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", manifests}};
  return document.dump();
}

constexpr char kLayoutVersion[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

std::string docker_manifest_of(const std::vector<SavedImage>& images) {
  std::vector<oci::DockerArchiveImage> entries;
  for (const SavedImage& image : images) {
    oci::DockerArchiveImage& entry = entries.emplace_back();
    entry.config = oci::layout_blob_name(image.config.digest);
    for (const oci::Reference& name : image.names) entry.repo_tags.push_back(name.familiar());
    for (const SavedLayer& layer : image.layers) {
      entry.layers.push_back(oci::layout_blob_name(layer.blob.digest));
    }
  }
  return oci::render_docker_archive(entries);
}

void write_archive(ArchiveOutput& output, const storage::Store& store,
                   const std::vector<SavedImage>& images, ArchiveFormat format) {
  output.add_directory("blobs");
  output.add_directory("blobs/sha256");
  Json manifests = Json::array();
  for (const SavedImage& image : images) {
    write_blobs(output, store, image);
    add_entries(manifests, image);
  }
  output.add(oci::kLayoutIndex, render_index(manifests));
  if (format == ArchiveFormat::kDocker) {
    output.add(oci::kDockerArchiveManifest, docker_manifest_of(images));
  }
  output.add(oci::kLayoutFile, kLayoutVersion);
}

// The entries that a layout has already, but for those that have the new one's name.
Json other_entries(const fs::path& layout, const std::string& reference, const Json& added) {
  const auto text = base::find_file(layout / oci::kLayoutIndex, oci::kMaxManifestBytes);
  Json kept = Json::array();
  if (!text) return kept;
  oci::parse_layout_index(*text);  // with all its checks
  const Json document = Json::parse(*text);
  for (const auto& entry : document.at("manifests")) {
    const auto annotations = entry.value("annotations", Json::object());
    const std::string name = annotations.value(oci::kRefNameAnnotation, std::string());
    const bool is_same = reference.empty()
                             ? name.empty() && entry.at("digest") == added.at("digest")
                             : name == reference;
    if (!is_same) kept.push_back(entry);
  }
  return kept;
}

void write_layout(const storage::Store& store, const SavedImage& image,
                  const oci::Transport& target) {
  const fs::path index = fs::path(target.path) / oci::kLayoutIndex;
  DirectoryOutput output(target.path);
  output.add_directory("blobs/sha256");
  write_blobs(output, store, image);
  Json entry = render_entry(image);
  if (!target.reference.empty()) {
    entry["annotations"] = {{oci::kRefNameAnnotation, target.reference}};
  }
  Json manifests = other_entries(target.path, target.reference, entry);
  manifests.push_back(std::move(entry));
  output.add(oci::kLayoutFile, kLayoutVersion);
  output.add(oci::kLayoutIndex, render_index(manifests));  // last: it names the blobs
}

// containers-transports(5), "dir:": blobs by the digits of their digests.
void write_directory(const storage::Store& store, const SavedImage& image, const fs::path& path) {
  DirectoryOutput output(path);
  output.add(image.config.digest.hex(), image.config_bytes);
  for (const SavedLayer& layer : image.layers) {
    output.add(layer.blob.digest.hex(), layer.blob.size,
               [&](const ByteSink& sink) { write_saved_layer(store, layer, sink); });
  }
  output.add("version", "Directory Transport Version: 1.1\n");
  output.add("manifest.json", image.manifest_bytes);
}

void write_file(const storage::Store& store, std::vector<SavedImage> images, ArchiveFormat format,
                const fs::path& path) {
  const fs::path staged = path.string() + ".tmp-" + base::random_hex(4);
  base::Cleanup discard([&] { unlink(staged.c_str()); });
  const base::UniqueFd fd = base::open_file(staged, O_WRONLY | O_CREAT | O_EXCL, 0644);
  TarOutput output(fd.get());
  write_archive(output, store, images, format);
  output.finish();
  base::check(rename(staged.c_str(), path.c_str()), path.string());
  discard.dismiss();
}

LayerForm form_of(ArchiveFormat format) {
  return format == ArchiveFormat::kDocker ? LayerForm::kPlain : LayerForm::kAsServed;
}

}  // namespace

void save_archive(storage::Store& store, const std::vector<std::string>& images,
                  ArchiveFormat format, const std::optional<oci::Platform>& platform, int fd) {
  const base::UniqueFd hold = store.hold_layers();
  Selection selection(store, platform);
  for (const std::string& image : images) selection.add(image);
  std::vector<SavedImage> saved;
  for (const Wanted& wanted : selection.images()) {
    saved.push_back(plan_saved_image(store, wanted.row, form_of(format)));
    saved.back().names = wanted.names;
  }
  TarOutput output(fd);
  write_archive(output, store, saved, format);
  output.finish();
}

void save_to(storage::Store& store, const std::string& image, const oci::Transport& target,
             const std::optional<oci::Platform>& platform) {
  const base::UniqueFd hold = store.hold_layers();
  const storage::ImageRow row = storage::load_image_for(store, image, platform);
  const bool is_docker = target.kind == oci::Transport::Kind::kDockerArchive;
  SavedImage saved =
      plan_saved_image(store, row, is_docker ? LayerForm::kPlain : LayerForm::kAsServed);
  switch (target.kind) {
    case oci::Transport::Kind::kOciLayout:
      return write_layout(store, saved, target);
    case oci::Transport::Kind::kDirectory:
      return write_directory(store, saved, target.path);
    case oci::Transport::Kind::kDockerArchive:
    case oci::Transport::Kind::kOciArchive:
      break;
  }
  if (!target.reference.empty()) saved.names = {oci::Reference::parse(target.reference)};
  std::vector<SavedImage> images;
  images.push_back(std::move(saved));
  write_file(store, std::move(images), is_docker ? ArchiveFormat::kDocker : ArchiveFormat::kOci,
             target.path);
}

}  // namespace engine
