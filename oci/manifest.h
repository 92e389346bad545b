// Manifest and Index: what a registry serves under /manifests/, in OCI's and in Docker's (schema 2)
// words.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "oci/digest.h"
#include "oci/platform.h"

namespace oci {

constexpr std::size_t kMaxManifestBytes = 4U << 20U;
constexpr std::size_t kMaxConfigBytes = 4U << 20U;
constexpr std::size_t kMaxLayers = 500;  // the kernel's OVL_MAX_STACK

inline constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayer[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kOciLayerGzip[] = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr char kOciLayerZstd[] = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr char kDockerList[] = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr char kDockerManifest[] = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerConfig[] = "application/vnd.docker.container.image.v1+json";
inline constexpr char kDockerLayerGzip[] = "application/vnd.docker.image.rootfs.diff.tar.gzip";

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  std::optional<Platform> platform;
  std::string artifact_type;
  std::vector<std::string> urls;
  std::map<std::string, std::string> annotations;
  std::optional<std::string> data;  // decoded; not yet verified
};

struct Manifest {
  std::string media_type;
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::optional<Descriptor> subject;
  std::map<std::string, std::string> annotations;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor>
      manifests;  // entries of unknown media types are kept; the caller skips them
  std::map<std::string, std::string> annotations;
};

// `content_type` is the header's (parameters allowed) or the descriptor's; empty where there is
// none. A body whose mediaType disagrees, that has both `manifests` and `layers` (CVE-2021-41190),
// duplicate keys or a schema 1 shape is refused. Throws kInvalid.
std::variant<Manifest, Index> parse_manifest(std::string_view body, std::string_view content_type);

// The best entry for `wanted` by preferences_of(), the first of equals; attestations and unknown
// platforms are skipped, an entry without a platform is taken only if nothing else fits. nullopt
// where none fits.
std::optional<Descriptor> find_platform(const Index& index, const Platform& wanted);

bool is_runnable_config(std::string_view media_type);

}  // namespace oci
