// Images of real layers on a registry on loopback, and stores to pull them into.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/image/puller.h"
#include "engine/image/registry_process.h"
#include "tests/registry/fake_registry.h"
#include "tests/storage/unpack_support.h"

namespace engine_test {

using registry_test::FakeRegistry;
using registry_test::Json;
using storage_test::Tar;

inline engine::RegistryProcessOptions registry_program() {
  engine::RegistryProcessOptions options;
  options.program = SAMPAN_BIN_DIR "/sampan-registry";
  options.setup.client = registry_test::quick_options();
  return options;
}

struct Layer {
  std::string tar, blob;

  static Layer plain(const Tar& tar) { return {tar.end(), tar.end()}; }
  static Layer gzip(const Tar& tar) { return {tar.end(), storage_test::gzip(tar.end())}; }
  static Layer zstd(const Tar& tar) { return {tar.end(), storage_test::zstd(tar.end())}; }

  std::string diff_id() const { return registry_test::digest_of(tar); }
  std::string digest() const { return registry_test::digest_of(blob); }
};

struct ImageSpec {
  std::vector<Layer> layers;
  std::string os = "linux", architecture = oci::Platform::of_host().architecture;
  std::string config_type = oci::kOciConfig;
};

// What `change` makes of the config and the manifest is what the registry serves.
inline registry_test::Image make_image(const ImageSpec& spec,
                                       const std::function<void(Json&)>& change_config = {},
                                       const std::function<void(Json&)>& change_manifest = {}) {
  registry_test::Image image;
  Json diff_ids = Json::array();
  Json descriptors = Json::array();
  for (const Layer& layer : spec.layers) {
    image.layers.push_back(layer.blob);
    diff_ids.push_back(layer.diff_id());
    descriptors.push_back(registry_test::descriptor_of(oci::kOciLayerGzip, layer.blob));
  }
  Json config = {{"os", spec.os},
                 {"architecture", spec.architecture},
                 {"created", "2024-01-02T03:04:05Z"},
                 {"config", {{"Cmd", {"/bin/sh"}}}},
                 {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
  if (change_config) change_config(config);
  image.config = config.dump();
  Json manifest = {{"schemaVersion", 2},
                   {"mediaType", oci::kOciManifest},
                   {"config", registry_test::descriptor_of(spec.config_type, image.config)},
                   {"layers", descriptors}};
  if (change_manifest) change_manifest(manifest);
  image.manifest = manifest.dump();
  return image;
}

// A tar whose bytes do not compress to nothing.
inline Tar make_tar(unsigned seed, int files, std::size_t bytes) {
  Tar tar;
  tar.dir("./");
  std::uint32_t state = seed;
  for (int i = 0; i < files; ++i) {
    std::string data;
    while (data.size() < bytes) {
      state = state * 1664525U + 1013904223U;
      data += static_cast<char>(state >> 24U);
    }
    const std::string folder = "d" + std::to_string(seed) + "-" + std::to_string(i % 5);
    if (i < 5) tar.dir(folder + "/");
    tar.file(folder + "/f" + std::to_string(i), data);
  }
  return tar;
}

}  // namespace engine_test
