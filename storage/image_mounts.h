// Image mounts: which images a user has mounted on the host, so that their layers stay.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "oci/digest.h"

namespace storage {

struct ImageMount {
  oci::ImageId image;
  std::string directory;         // absolute
  std::uint64_t mount = 0;       // its id in the mount namespace, statx(2)
  std::uint64_t space = 0;       // the namespace: inode of /proc/<pid>/ns/mnt
  std::filesystem::path record;  // the file that says so
};

// Those that are there. A record of an earlier boot, or of a mount of this very namespace that is
// gone, is removed; what is in another namespace counts as mounted.
std::vector<ImageMount> list_image_mounts(const std::filesystem::path& root);

// To be called before the directory shows the image; `mount` is the id of the detached mount.
ImageMount record_image_mount(const std::filesystem::path& root, const oci::ImageId& image,
                              const std::string& directory, std::uint64_t mount);
void forget_image_mount(const ImageMount& mount);

// The id of the mount that a descriptor, or the directory of that name, belongs to; 0: none.
std::uint64_t mount_id(int fd);
std::uint64_t mount_id(const std::string& directory);

}  // namespace storage
