#include "oci/docker_archive.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "oci/json_value.h"
#include "oci/manifest.h"

namespace oci {
namespace {

constexpr std::size_t kMaxImages = 1000;
constexpr std::size_t kMaxTags = 1000;

}  // namespace

std::vector<DockerArchiveImage> parse_docker_archive(std::string_view json) {
  return base::while_doing(kDockerArchiveManifest, [&] {
    const JsonDocument document(json, {.bytes = kMaxManifestBytes, .depth = 16});
    const JsonValue root = document.root();
    if (!root.is_array()) root.fail("is not an array");
    const std::vector<JsonValue> elements = root.elements();
    if (elements.size() > kMaxImages) root.fail("more than 1000 images");
    std::vector<DockerArchiveImage> images;
    for (const JsonValue& element : elements) {
      DockerArchiveImage& image = images.emplace_back();
      image.config = element["Config"].string();
      element["RepoTags"].read(image.repo_tags);
      element["Layers"].read(image.layers);
      if (image.repo_tags.size() > kMaxTags) element["RepoTags"].fail("more than 1000 tags");
      if (image.layers.size() > kMaxLayers) element["Layers"].fail("more than 500 layers");
    }
    return images;
  });
}

std::string render_docker_archive(const std::vector<DockerArchiveImage>& images) {
  nlohmann::ordered_json document = nlohmann::ordered_json::array();
  for (const DockerArchiveImage& image : images) {
    nlohmann::ordered_json entry = {{"Config", image.config}};
    entry["RepoTags"] = image.repo_tags.empty() ? nlohmann::ordered_json(nullptr)
                                                : nlohmann::ordered_json(image.repo_tags);
    entry["Layers"] = image.layers;
    document.push_back(std::move(entry));
  }
  return document.dump() + "\n";
}

}  // namespace oci
