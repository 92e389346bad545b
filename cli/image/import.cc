// sampan-image import: a tar archive on standard input becomes the one layer of a new image.
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/image/image_commands.h"
#include "cli/image/system_calls.h"
#include "cli/image/unpack_arguments.h"
#include "engine/image/archive_files.h"
#include "engine/image/single_layer.h"
#include "storage/store.h"

namespace cli {

int run_import_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Import a file system from an archive", "sampan-image import");
  std::string root;
  std::string config;
  std::string name;
  app.add_option("--root", root, "The store")->required();
  app.add_option("--config", config, "The image's config without its layer")->required();
  app.add_option("--name", name, "REPOSITORY[:TAG]");
  CLI11_PARSE(app, argc, argv);
  engine::SingleLayerImage image{
      .config = oci::parse_image_config(config), .name = std::nullopt, .action = "import"};
  if (!name.empty()) image.name = oci::Reference::parse(name);
  storage::Store store(root);
  restrict_system_calls();
  store.sweep(storage::Store::Sweep::kThorough);
  const auto archive =
      engine::ArchiveFile::whole(engine::make_seekable(STDIN_FILENO, store.staging_dir()));
  engine::LoadOptions options;
  options.layers = configured_layer_files();
  const engine::LoadedImage loaded = add_single_layer(
      store, [&](const auto& sink) { archive.for_each_block(sink); }, image, options);
  events.send_result({{"image", loaded.image.str()}});
  store.discard_trash();
  store.checkpoint();
  return 0;
}

}  // namespace cli
