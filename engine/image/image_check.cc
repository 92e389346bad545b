#include "engine/image/image_check.h"

#include <string>

#include "base/error.h"
#include "base/text.h"

namespace engine {

oci::ImageConfig check_image(const registry::ResolvedImage& image) {
  const oci::Manifest& manifest = image.manifest;
  oci::ImageConfig config = base::while_doing(
      "image config", [&] { return oci::parse_image_config(image.config_bytes); });
  if (config.platform.os != "linux") {
    throw base::Error(base::ErrorKind::kUnsupported, "image operating system \"" +
                                                         base::printable(config.platform.os) +
                                                         "\" cannot be used on this platform");
  }
  if (config.diff_ids.size() != manifest.layers.size()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "its manifest has " + std::to_string(manifest.layers.size()) +
                          " layers, its config " + std::to_string(config.diff_ids.size()));
  }
  if (manifest.layers.size() > oci::kMaxLayers) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "more than " + std::to_string(oci::kMaxLayers) + " layers");
  }
  return config;
}

}  // namespace engine
