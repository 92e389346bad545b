#include "engine/image/archive_images.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "engine/image/layout_index.h"
#include "engine/image/rare_compression.h"
#include "oci/docker_archive.h"
#include "oci/layout.h"
#include "storage/unpack/decompress.h"

namespace engine {
namespace {

constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::size_t kHeadBytes = 16;
constexpr std::size_t kMaxConfigsBytes = 128U << 20U;  // of all configs of one archive

bool fits(const oci::Platform& image, const oci::Platform& wanted) {
  const oci::Platform have = oci::normalize(image);
  const auto runnable = oci::preferences_of(oci::normalize(wanted));
  return std::find(runnable.begin(), runnable.end(), have) != runnable.end();
}

// Of a layer's file, which docker's archives have compressed or not.
oci::Descriptor describe_layer(const ArchiveFile& file, const oci::DiffId& id) {
  oci::Descriptor layer{
      .media_type = oci::kOciLayer, .digest = oci::Digest::from_hex(id.hex()), .size = file.size()};
  const std::string head = file.head(kHeadBytes);
  if (!storage::is_compressed(head)) return layer;
  if (is_rarely_compressed(file)) return describe_inflated(file, id, layer, {});
  layer.media_type = head.starts_with(kGzipMagic) ? oci::kOciLayerGzip : oci::kOciLayerZstd;
  base::Sha256Hasher hasher;
  file.for_each_block([&](std::string_view bytes) { hasher.update(bytes); });
  layer.digest = oci::Digest::from_hex(hasher.finish());
  return layer;
}

// For an archive that has none.
void make_manifest(ArchiveImage& image) {
  image.manifest.media_type = oci::kOciManifest;
  image.manifest_bytes = oci::render_manifest(image.manifest.config, image.manifest.layers);
  image.manifest_digest = oci::Digest::from_hex(base::sha256_hex(image.manifest_bytes));
  image.top_digest = image.manifest_digest;
}

std::vector<oci::Reference> parse_names(const std::vector<std::string>& tags) {
  std::vector<oci::Reference> names;
  for (const std::string& tag : tags) {
    const auto name = oci::Reference::parse(tag);
    if (name.digest()) throw_bad_archive("\"" + base::printable(tag) + "\" is no tag");
    names.push_back(name);
  }
  return names;
}

// The manifest that the archive's index.json has for this config, where it describes these very
// layers: docker and containerd write both.
const LayoutManifest* find_manifest(const std::vector<LayoutManifest>& manifests,
                                    const std::string& config_hex, std::size_t layers) {
  for (const LayoutManifest& entry : manifests) {
    if (entry.manifest.config.digest.hex() == config_hex &&
        entry.manifest.layers.size() == layers) {
      return &entry;
    }
  }
  return nullptr;
}

ArchiveImage read_docker_image(const ArchiveFiles& files, const oci::DockerArchiveImage& entry,
                               const std::vector<LayoutManifest>& manifests) {
  const std::string config_bytes = base::while_doing(base::printable(entry.config), [&] {
    return files.load(entry.config).read(oci::kMaxConfigBytes);
  });
  const auto config_digest = oci::Digest::from_hex(base::sha256_hex(config_bytes));
  ArchiveImage image{.top_digest = config_digest,
                     .manifest_digest = config_digest,
                     .manifest_bytes = {},
                     .manifest = {.media_type = oci::kOciManifest,
                                  .artifact_type = {},
                                  .config = {.media_type = oci::kOciConfig,
                                             .digest = config_digest,
                                             .size = config_bytes.size()}},
                     .config_bytes = config_bytes,
                     .config = oci::parse_image_config(config_bytes),
                     .layer_files = entry.layers,
                     .names = parse_names(entry.repo_tags)};
  if (image.config.diff_ids.size() != entry.layers.size()) {
    throw_bad_archive("manifest.json lists " + std::to_string(entry.layers.size()) +
                      " layers, the config " + std::to_string(image.config.diff_ids.size()));
  }
  const LayoutManifest* const known =
      find_manifest(manifests, config_digest.hex(), entry.layers.size());
  for (std::size_t i = 0; i < entry.layers.size(); ++i) {
    const ArchiveFile file = files.load(entry.layers[i], ArchiveFiles::Links::kFollowed);
    if (known == nullptr) {
      image.manifest.layers.push_back(describe_layer(file, image.config.diff_ids[i]));
    } else if (file.size() != known->manifest.layers[i].size) {
      throw_bad_archive("manifest.json and index.json disagree about " +
                        base::printable(entry.layers[i]));
    }
  }
  if (known == nullptr) {
    make_manifest(image);
  } else {
    image.manifest = known->manifest;
    image.manifest_bytes = known->bytes;
    image.manifest_digest = known->digest;
    image.top_digest = known->digest;
  }
  image.config = check_config(image.manifest, config_bytes);
  return image;
}

// By tag, or as "@2".
bool is_named(const oci::DockerArchiveImage& entry, std::size_t index,
              const std::string& reference) {
  if (reference.starts_with('@')) return reference == "@" + std::to_string(index);
  const auto wanted = oci::Reference::parse(reference);
  return std::any_of(entry.repo_tags.begin(), entry.repo_tags.end(),
                     [&](const std::string& tag) { return oci::Reference::parse(tag) == wanted; });
}

void check_total(std::size_t bytes) {
  if (bytes > kMaxConfigsBytes) throw_bad_archive("the archive's images have too large configs");
}

[[noreturn]] void throw_no_match(const ArchiveChoice& choice) {
  throw base::Error(base::ErrorKind::kNotFound,
                    "no matching manifest for " + choice.platform.str());
}

ArchiveImage read_layout_image(const ArchiveFiles& files, LayoutManifest entry,
                               const ArchiveChoice& choice) {
  ArchiveImage image{.top_digest = entry.top_digest,
                     .manifest_digest = entry.digest,
                     .manifest_bytes = std::move(entry.bytes),
                     .manifest = std::move(entry.manifest),
                     .config_bytes = {},
                     .config = {},
                     .layer_files = {},
                     .names = {}};
  if (entry.name) image.names.push_back(*entry.name);
  if (!oci::is_runnable_config(image.manifest.config.media_type)) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "not an image but an artifact of type \"" +
                          base::printable(image.manifest.config.media_type) + "\"");
  }
  image.config_bytes = read_layout_blob(files, image.manifest.config, oci::kMaxConfigBytes);
  image.config = check_config(image.manifest, image.config_bytes);
  if (choice.is_explicit && !fits(image.config.platform, choice.platform)) throw_no_match(choice);
  for (const oci::Descriptor& layer : image.manifest.layers) {
    image.layer_files.push_back(oci::layout_blob_name(layer.digest));
    if (files.load(image.layer_files.back()).size() != layer.size) {
      throw base::Error(base::ErrorKind::kCorrupt,
                        image.layer_files.back() + ": not as long as its manifest says");
    }
  }
  return image;
}

}  // namespace

oci::ImageConfig check_config(const oci::Manifest& manifest, std::string_view config_bytes) {
  oci::ImageConfig config =
      base::while_doing("image config", [&] { return oci::parse_image_config(config_bytes); });
  if (config.platform.os != "linux") {
    throw base::Error(base::ErrorKind::kUnsupported, "image operating system \"" +
                                                         base::printable(config.platform.os) +
                                                         "\" cannot be used on this platform");
  }
  if (config.diff_ids.size() != manifest.layers.size()) {
    throw_bad_archive("the manifest lists " + std::to_string(manifest.layers.size()) +
                      " layers, the config " + std::to_string(config.diff_ids.size()));
  }
  if (manifest.layers.size() > oci::kMaxLayers) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "more than " + std::to_string(oci::kMaxLayers) + " layers");
  }
  return config;
}

std::vector<ArchiveImage> list_docker_images(const ArchiveFiles& files,
                                             const ArchiveChoice& choice) {
  const std::string text = base::while_doing(oci::kDockerArchiveManifest, [&] {
    return files.load(oci::kDockerArchiveManifest).read(oci::kMaxManifestBytes);
  });
  const auto entries = oci::parse_docker_archive(text);
  const auto manifests =
      files.find(oci::kLayoutFile) ? find_all_manifests(files) : std::vector<LayoutManifest>();
  if (choice.reference && choice.reference->empty() && entries.size() != 1) {
    throw_bad_archive("the archive has " + std::to_string(entries.size()) +
                      " images: say which, by its name or as @0, @1, …");
  }
  std::vector<ArchiveImage> images;
  std::size_t total = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (choice.reference && !choice.reference->empty() &&
        !is_named(entries[i], i, *choice.reference)) {
      continue;
    }
    images.push_back(read_docker_image(files, entries[i], manifests));
    check_total(total += images.back().config_bytes.size());
    const bool is_wanted =
        !choice.is_explicit || fits(images.back().config.platform, choice.platform);
    if (!is_wanted && choice.reference) throw_no_match(choice);
    if (!is_wanted) images.pop_back();
  }
  if (images.empty() && choice.reference) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "the archive has no image " + base::printable(*choice.reference));
  }
  if (images.empty() && !entries.empty()) throw_no_match(choice);
  return images;
}

std::vector<ArchiveImage> list_layout_images(const ArchiveFiles& files,
                                             const ArchiveChoice& choice) {
  std::vector<ArchiveImage> images;
  std::size_t total = 0;
  for (LayoutManifest& entry : choose_manifests(files, choice)) {
    images.push_back(read_layout_image(files, std::move(entry), choice));
    check_total(total += images.back().config_bytes.size());
  }
  return images;
}

std::vector<ArchiveImage> list_images(const ArchiveFiles& files, const ArchiveChoice& choice) {
  if (files.find(oci::kDockerArchiveManifest)) return list_docker_images(files, choice);
  if (files.find(oci::kLayoutFile)) return list_layout_images(files, choice);
  throw_bad_archive("invalid archive: does not contain a manifest.json or an OCI image layout");
}

ArchiveImage read_image_directory(const ArchiveFiles& files, const ArchiveChoice& choice) {
  std::string bytes = files.load("manifest.json").read(oci::kMaxManifestBytes);
  const auto digest = oci::Digest::from_hex(base::sha256_hex(bytes));
  const auto parsed = oci::parse_manifest(bytes, "");
  const auto* const manifest = std::get_if<oci::Manifest>(&parsed);
  if (manifest == nullptr) throw_bad_archive("a directory of several platforms is not supported");
  ArchiveImage image{
      .top_digest = digest,
      .manifest_digest = digest,
      .manifest_bytes = std::move(bytes),
      .manifest = *manifest,
      .config_bytes = files.load(manifest->config.digest.hex()).read(oci::kMaxConfigBytes),
      .config = {},
      .layer_files = {},
      .names = {}};
  if (base::sha256_hex(image.config_bytes) != manifest->config.digest.hex()) {
    throw base::Error(base::ErrorKind::kCorrupt,
                      "the config has another digest than its manifest says");
  }
  image.config = check_config(image.manifest, image.config_bytes);
  if (choice.is_explicit && !fits(image.config.platform, choice.platform)) throw_no_match(choice);
  for (const oci::Descriptor& layer : manifest->layers) {
    image.layer_files.push_back(layer.digest.hex());
    if (files.load(layer.digest.hex()).size() != layer.size) {
      throw base::Error(base::ErrorKind::kCorrupt, "a layer is not as long as its manifest says");
    }
  }
  return image;
}

}  // namespace engine
