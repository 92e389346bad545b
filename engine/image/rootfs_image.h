// RootfsImage: a directory run as an image: `dir:` of a root file system; and the way back.
#pragma once

#include <filesystem>

#include "engine/image/archive_load.h"
#include "storage/store.h"

namespace engine {

// Copies the tree into one layer; the same tree gives the same image, so the second time it is only
// read. It must not change meanwhile (kCorrupt).
LoadedImage load_rootfs(storage::Store& store, const std::filesystem::path& path,
                        const LoadOptions& options);

// A directory's files, without itself, as a tar written to `fd`.
void export_tree(int root_fd, int fd);

}  // namespace engine
