// Image fields: one line of `images` in docker's words.
#pragma once

#include <string>
#include <string_view>

#include "cli/listing.h"
#include "storage/image_list.h"

namespace cli {

enum class ImageIds { kShort, kFull };

// What stands above each field in a table; its keys are all fields there are.
Listing::Headers image_headers();
std::string image_field(std::string_view name, const storage::ImageLine& line,
                        base::Nanoseconds now, ImageIds ids);

std::string shown_repository(const storage::ImageLine& line);  // familiar, or "<none>"
std::string shown_tag(const storage::ImageLine& line);
std::string shown_id(const storage::ImageLine& line, ImageIds ids);

}  // namespace cli
