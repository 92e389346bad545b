// Image table: what `images` prints where neither format nor filter asks for more, without a
// document for each line: ten thousand images in milliseconds.
#pragma once

#include <string>
#include <vector>

#include "storage/image_list.h"

namespace cli {

enum class ImageIds { kShort, kFull };

std::string render_image_table(const std::vector<storage::ImageLine>& lines, base::Nanoseconds now,
                               ImageIds ids);
// Only the ids, each once.
std::string render_image_ids(const std::vector<storage::ImageLine>& lines, ImageIds ids);

}  // namespace cli
