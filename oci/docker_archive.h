// DockerArchive: manifest.json of the archives that `docker save` writes: which members are whose
// config and layers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oci {

inline constexpr char kDockerArchiveManifest[] = "manifest.json";

struct DockerArchiveImage {
  std::string config;                  // the member's name, as all of these
  std::vector<std::string> repo_tags;  // "alpine:3.19"
  std::vector<std::string> layers;     // bottom first
};

// At most kMaxManifestBytes, a thousand images, kMaxLayers each. Throws kInvalid.
std::vector<DockerArchiveImage> parse_docker_archive(std::string_view json);
std::string render_docker_archive(const std::vector<DockerArchiveImage>& images);

}  // namespace oci
