// Archives: save, load, import and export, and images that lie beside no registry: each is a
// command of sampan-image.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "oci/transport.h"

namespace engine {

using OnProgress = std::function<void(const PullProgress&)>;

struct LoadedArchiveImage {
  std::string id;                  // "sha256:…"
  std::vector<std::string> names;  // familiar
};

// Every image of the archive that `fd` gives.
std::vector<LoadedArchiveImage> load_images(const Config& config, int fd,
                                            const std::string& platform,
                                            const OnProgress& on_progress);

// One image from where it lies.
PullSummary pull_from(const Config& config, const std::string& source, const std::string& platform,
                      const OnProgress& on_progress);

// The image, where the store has what the layout's index names: then nothing needs to be unpacked
// or even started. Only a layout's directory says so at once; nullopt for all other sources.
std::optional<storage::ImageRow> find_known_image(storage::Store& store,
                                                  const oci::Transport& source,
                                                  const std::string& platform);

struct SaveRequest {
  std::vector<std::string> images;  // names or ids
  std::string format = "docker-archive";
  std::string platform;
};
// Writes the archive to `fd`.
void save_images(const Config& config, const SaveRequest& request, int fd);
// One image to where a transport leads: what `push` does with it.
void save_to(const Config& config, const std::string& image, const std::string& target,
             const std::string& platform);

struct ImportRequest {
  std::string config;  // JSON of the image's config, complete but for the layer
  std::string name;    // REPOSITORY[:TAG]; empty: none
  std::string url;     // where the archive is; empty: `fd` gives it
};
// The image's id.
std::string import_image(const Config& config, const ImportRequest& request, int fd,
                         const OnProgress& on_progress);

// The container's files as they are now, as one flat tar.
void export_container(Engine& engine, std::string_view name_or_id, int fd);

}  // namespace engine
