// Image list: what `images` shows, read without the long texts of images' rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace storage {

class Store;

// One for each tag, and for each repository that knows the image by its digest only; an image
// without any name has one with both empty.
struct ImageLine {
  std::string id;          // 64 hexadecimal digits
  std::string repository;  // full: "docker.io/library/alpine"
  std::string tag;
  std::string digest;  // 64 hexadecimal digits; only where it was asked for
  std::uint64_t size = 0;
  base::Nanoseconds created = 0;
};

// kEach: one line for each digest that the repository has for the image, beside each tag.
enum class ImageDigests { kNone, kEach };

// Newest first; lines of one image by repository and tag.
std::vector<ImageLine> list_image_lines(Store& store, ImageDigests digests = ImageDigests::kNone);

}  // namespace storage
