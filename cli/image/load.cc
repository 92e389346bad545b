// sampan-image load: the images of an archive on standard input, or one from elsewhere, into the
// store.
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "cli/image/source_date.h"
#include "cli/image/system_calls.h"
#include "cli/image/unpack_arguments.h"
#include "engine/image/archive_load.h"
#include "oci/transport.h"
#include "storage/store.h"

namespace cli {
namespace {

nlohmann::ordered_json render(const engine::LoadedImage& image) {
  return {{"image", image.image.str()},
          {"digest", image.digest.str()},
          {"names", image.names},
          {"changed", image.changed}};
}

nlohmann::ordered_json load(storage::Store& store, const std::string& source,
                            const engine::LoadOptions& options) {
  if (!source.empty()) {
    const auto transport = oci::find_transport(source);
    if (!transport) throw base::Error(base::ErrorKind::kInvalid, source + ": no transport");
    return base::while_doing(source, [&] { return render(load_from(store, *transport, options)); });
  }
  nlohmann::ordered_json images = nlohmann::ordered_json::array();
  for (const auto& image : load_archive(store, STDIN_FILENO, options)) {
    images.push_back(render(image));
  }
  return {{"images", std::move(images)}};
}

}  // namespace

int run_load_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Load images from an archive, a layout or a directory", "sampan-image load");
  std::string root;
  std::string platform;
  std::string source;
  app.add_option("--root", root, "The store")->required();
  app.add_option("--platform", platform, "OS/ARCHITECTURE[/VARIANT] other than the host's");
  app.add_option("SOURCE", source, "A transport; without: an archive on standard input");
  CLI11_PARSE(app, argc, argv);
  engine::LoadOptions options;
  options.choice.platform = oci::Platform::of_host();
  if (!platform.empty()) {
    options.choice.platform = oci::Platform::parse(platform);
    options.choice.is_explicit = true;
  }
  options.layers = configured_layer_files();
  options.latest_time = find_source_date().value_or(options.latest_time);
  options.on_event = [&](const engine::PullEvent& event) { events.send(event); };
  storage::Store store(root);
  restrict_system_calls();
  store.sweep(storage::Store::Sweep::kThorough);
  events.send_result(load(store, source, options));
  store.discard_trash();
  store.checkpoint();
  return 0;
}

}  // namespace cli
