#include "engine/image/rootfs_image.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/files.h"
#include "engine/image/single_layer.h"
#include "storage/pack/flat_tree.h"

namespace engine {

LoadedImage load_rootfs(storage::Store& store, const std::filesystem::path& path,
                        const LoadOptions& options) {
  const base::UniqueFd root = base::open_file(path, O_RDONLY | O_DIRECTORY);
  const TarBytes tar = [&](const std::function<void(std::string_view)>& sink) {
    storage::TarWriter writer(sink, options.latest_time);
    storage::write_flat_tree(writer, root.get(), storage::FlatRoot::kWithRoot);
    writer.finish();
  };
  SingleLayerImage image{
      .config = {.platform = oci::Platform::of_host()}, .name = std::nullopt, .action = "load"};
  image.config.history.push_back({.created_by = "dir: a root file system"});
  return base::while_doing("the directory's files",
                           [&] { return add_single_layer(store, tar, image, options); });
}

void export_tree(int root_fd, int fd) {
  storage::TarWriter writer([fd](std::string_view bytes) { base::write_all(fd, bytes); });
  storage::write_flat_tree(writer, root_fd, storage::FlatRoot::kLeftOut);
  writer.finish();
}

}  // namespace engine
