// sampan-image pull: a reference becomes layers and an image's row.
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/trace.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/system_calls.h"
#include "cli/image/unpack_arguments.h"
#include "engine/image/puller.h"
#include "storage/store.h"

namespace cli {
namespace {

struct Arguments {
  std::string root, platform, reference;
  std::vector<std::string> insecure_registries;
  engine::PullOptions options;
  bool trace = false;
};

void define_arguments(CLI::App& app, Arguments& arguments) {
  app.add_option("--root", arguments.root, "The store")->required();
  app.add_option("--platform", arguments.platform,
                 "OS/ARCHITECTURE[/VARIANT] other than the host's");
  app.add_option("--insecure-registry", arguments.insecure_registries,
                 "Host or network with which plain HTTP is allowed")
      ->allow_extra_args(false);
  app.add_option("--parallel", arguments.options.parallel, "Layers at the same time");
  define_unpack_arguments(app, arguments.options);
  app.add_flag("--trace", arguments.trace, "Decisions and times as events");
  app.add_option("REFERENCE", arguments.reference)->required();
}

engine::PullResult pull(const Arguments& arguments, EventWriter& events) {
  const auto reference = oci::Reference::parse(arguments.reference);
  engine::PullOptions options = arguments.options;
  options.platform = oci::Platform::of_host();
  if (!arguments.platform.empty()) {
    options.platform = oci::Platform::parse(arguments.platform);
    options.choice = registry::Client::PlatformChoice::kExplicit;
  }
  registry::Setup setup;
  setup.client.insecure_registries = arguments.insecure_registries;
  setup.trace = arguments.trace;
  RegistryAccess access(setup, {reference.repository()});
  restrict_system_calls();
  storage::Store store(arguments.root);
  store.sweep(storage::Store::Sweep::kThorough);
  const engine::PullResult result =
      engine::pull(store, access.client(), reference, options,
                   [&](const engine::PullEvent& event) { events.send(event); });
  store.discard_trash();
  return result;
}

}  // namespace

int run_pull_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Pull an image into a store of sampan", "sampan-image pull");
  Arguments arguments;
  apply_unpack_config(arguments.options);
  define_arguments(app, arguments);
  CLI11_PARSE(app, argc, argv);
  if (arguments.trace) {
    base::set_trace_sink([&events](const base::TraceEvent& event) { events.send(event); });
  }
  events.send(pull(arguments, events));
  return 0;
}

}  // namespace cli
