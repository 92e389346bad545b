// Cache usage: what images, containers, volumes and blobs take on disk, as `system df` shows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "storage/store.h"

namespace engine {

struct DiskReport {
  struct Image {
    storage::ImageRow row;
    std::vector<storage::ImageName> names;
    std::uint64_t shared = 0, unique = 0;  // of its layers, with other images and alone
    std::size_t containers = 0;
  };
  struct Container {
    ContainerInfo info;
    std::uint64_t size = 0;
    std::size_t volumes = 0;
  };
  struct Volume {
    storage::VolumeRow row;
    std::uint64_t size = 0;
    std::size_t links = 0;  // containers that mount it
  };
  struct Blob {
    storage::BlobRow row;
    std::uint64_t size = 0;
  };
  std::vector<Image> images;
  std::vector<Container> containers;
  std::vector<Volume> volumes;
  std::vector<Blob> blobs;        // those that are kept
  std::uint64_t layers = 0;       // all of them, each file once
  std::uint64_t used_layers = 0;  // those of images with containers
  std::uint64_t other_blobs = 0;  // downloads that are to be resumed
};

// Walks everything: what it says agrees with `du`, and takes as long.
DiskReport measure_disk(Engine& engine);

// Names of the volumes that a container mounts.
std::vector<std::string> volumes_of(const ContainerOptions& options);

}  // namespace engine
