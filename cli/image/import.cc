// sampan-image import: a tar archive, on standard input or at an address, becomes the one layer of
// a new image.
#include <chrono>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/image/image_commands.h"
#include "cli/image/privileges.h"
#include "cli/image/registry_access.h"
#include "cli/image/registry_arguments.h"
#include "cli/image/system_calls.h"
#include "cli/image/unpack_arguments.h"
#include "engine/image/archive_files.h"
#include "engine/image/single_layer.h"
#include "engine/image/url_file.h"
#include "storage/store.h"

namespace cli {
namespace {

struct ImportArguments {
  RegistryArguments common;
  std::string config, name, url;
};

base::UniqueFd download_archive(registry::RemoteClient& client, const std::string& url,
                                const engine::UrlFileOptions& options, EventWriter& events) {
  std::chrono::steady_clock::time_point told;
  return engine::fetch_url_file(client, url, options, [&](std::uint64_t size) {
    const auto now = std::chrono::steady_clock::now();
    if (now - told < std::chrono::milliseconds(100)) return;
    told = now;
    events.send_event({{"event", "fetching"}, {"current", size}});
  });
}

void import_archive(const ImportArguments& arguments, EventWriter& events) {
  engine::SingleLayerImage image{.config = oci::parse_image_config(arguments.config),
                                 .name = std::nullopt,
                                 .action = "import"};
  if (!arguments.name.empty()) image.name = oci::Reference::parse(arguments.name);
  // Only an address needs other processes; they start while there are rights to do so.
  std::optional<RegistryAccess> access;
  if (arguments.url.empty()) {
    drop_privileges();
  } else {
    access.emplace(make_setup(arguments.common, events), std::vector<std::string>());
  }
  storage::Store store(arguments.common.root);
  restrict_system_calls();
  store.sweep(storage::Store::Sweep::kThorough);
  engine::LoadOptions options;
  options.layers = configured_layer_files();
  base::UniqueFd downloaded;
  if (access) {
    downloaded = download_archive(
        access->client(), arguments.url,
        {.limit = options.layers.limits.layer_bytes, .folder = store.staging_dir()}, events);
  }
  const int source = downloaded ? downloaded.get() : STDIN_FILENO;
  const auto archive =
      engine::ArchiveFile::whole(engine::make_seekable(source, store.staging_dir()));
  downloaded.reset();
  const engine::LoadedImage loaded = add_single_layer(
      store, [&](const auto& sink) { archive.for_each_block(sink); }, image, options);
  events.send_result({{"image", loaded.image.str()}});
  store.discard_trash();
  store.checkpoint();
}

}  // namespace

int run_import_command(int argc, char** argv, EventWriter& events) {
  ImportArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_option("--config", arguments.config, "The image's config without its layer")
        ->required();
    app.add_option("--name", arguments.name, "REPOSITORY[:TAG]");
    app.add_option("--url", arguments.url, "Where the archive is, in place of standard input");
  };
  return run_registry_command({.name = "import",
                               .summary = "Import a file system from an archive",
                               .define = define,
                               .act = [&] { import_archive(arguments, events); }},
                              arguments.common, argc, argv);
}

}  // namespace cli
