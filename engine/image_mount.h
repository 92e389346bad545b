// Image mount: an image's files on the host, read-only, for who wants to look at them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "storage/image_mounts.h"

namespace engine {

// Mounts the image's layers at `directory`, or, where that is empty, at one of our own below the
// state directory; returns it. A second time the same without doing anything. The mount belongs to
// nobody's process: it goes with unmount_image() or with the machine's next start, and as long as
// it is there the image can't be removed. Set-user-id bits and devices mean nothing on it.
std::string mount_image(Engine& engine, std::string_view name_or_id, const std::string& directory);

// All its mounts; throws kNotFound where there is none.
void unmount_image(Engine& engine, std::string_view name_or_id);
void unmount(Engine& engine, const storage::ImageMount& mount);

std::vector<storage::ImageMount> list_image_mounts(Engine& engine);

}  // namespace engine
