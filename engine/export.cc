#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/spec.h"
#include "engine/tree_copy.h"

namespace engine {
namespace {

// The container of that name, or one that `create` would make of the image.
BundleInput find_input(storage::Store& store, std::string_view name) {
  if (const auto row = store.find_container(name)) return load_bundle_input(store, *row);
  const auto image = store.find_image(name);
  if (!image) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "No such container or image: " + std::string(name));
  }
  ContainerOptions options;
  options.image = std::string(name);
  return {.row = {.id = base::random_hex(32), .image = image->id},
          .options = std::move(options),
          .image = *image,
          .image_config = oci::parse_image_config(image->config),
          .network = {}};
}

// What only makes sense on this host, at this moment, is not part of a bundle for others: a place
// below our control group, binds of sources that may be gone, a size of a terminal.
void make_portable(oci::RuntimeSpec& spec) {
  spec.linux_.cgroups_path.clear();
  spec.process->console_size.reset();
  const auto is_gone = [](const oci::Mount& mount) {
    return mount.type == "bind" && access(mount.source.c_str(), F_OK) != 0;
  };
  spec.mounts.erase(std::remove_if(spec.mounts.begin(), spec.mounts.end(), is_gone),
                    spec.mounts.end());
}

void make_destination(const fs::path& destination) {
  base::make_dirs(destination);
  if (!fs::is_empty(destination)) {
    throw base::Error(base::ErrorKind::kConflict,
                      destination.string() + ": directory is not empty");
  }
}

}  // namespace

void Engine::export_bundle(std::string_view container_or_image, const fs::path& destination) {
  const BundleInput input = find_input(state_->store, container_or_image);
  make_destination(destination);
  base::Cleanup discard([&] {
    base::remove_tree_quietly(destination / "rootfs");
    unlink((destination / "config.json").c_str());
  });
  oci::RuntimeSpec spec = make_spec(state_->store, state_->config,
                                    state_->directory_of(input.row.id), input, EtcFiles::kLeftOut);
  make_portable(spec);
  {
    base::TraceStep step("engine", "copy the root file system");
    const ImageTree tree =
        open_tree(state_->store, input.image, state_->store.container_dir(input.row.id));
    const base::UniqueFd from = tree.open_merged();
    base::make_dirs(destination / "rootfs", 0700);
    const base::UniqueFd to = base::open_file(destination / "rootfs", O_RDONLY | O_DIRECTORY);
    copy_tree(from.get(), to.get());
  }
  base::write_file(destination / "config.json", oci::render_runtime_spec(spec));
  discard.dismiss();
}

}  // namespace engine
