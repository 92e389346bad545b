// sampan-image pull: a reference becomes layers and an image's row.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/trace.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/short_names.h"
#include "cli/image/system_calls.h"
#include "cli/image/unpack_arguments.h"
#include "engine/image/puller.h"
#include "storage/indexes.h"

namespace cli {
namespace {

struct Arguments {
  std::string root, platform, reference;
  std::vector<std::string> insecure_registries;
  engine::PullOptions options;
  bool if_missing = false, never = false, trace = false;
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
  app.add_flag("--if-missing", arguments.if_missing, "Nothing is pulled where the store has it");
  app.add_flag("--never", arguments.never, "Nothing is pulled: what the store has, or an error");
  app.add_flag("--trace", arguments.trace, "Decisions and times as events");
  app.add_option("REFERENCE", arguments.reference)->required();
}

// What the store has of it; nullopt where that is nothing.
std::optional<engine::PullResult> find_here(const Arguments& arguments,
                                            const std::vector<oci::Reference>& names) {
  storage::Store store(arguments.root);
  for (const oci::Reference& name : names) {
    const auto image =
        arguments.platform.empty()
            ? store.find_image(name.str())
            : storage::find_image_for(store, name.str(), oci::Platform::parse(arguments.platform));
    if (!image) continue;
    return engine::PullResult{
        .image = image->id, .digest = image->manifest_digest, .changed = false, .warning = {}};
  }
  return std::nullopt;
}

engine::PullResult pull_named(storage::Store& store, registry::RemoteClient& client,
                              const oci::Reference& name, const Arguments& arguments,
                              const std::function<void(const engine::PullEvent&)>& on_event) {
  engine::PullOptions options = arguments.options;
  options.platform = oci::Platform::of_host();
  if (!arguments.platform.empty()) {
    options.platform = oci::Platform::parse(arguments.platform);
    options.choice = registry::Client::PlatformChoice::kExplicit;
  }
  return engine::pull(store, client, name, options, on_event);
}

engine::PullResult pull(const Arguments& arguments, EventWriter& events) {
  const std::vector<oci::Reference> names = expand_name(arguments.reference);
  if (arguments.if_missing || arguments.never) {
    if (const auto here = find_here(arguments, names)) return *here;
  }
  if (arguments.never) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "No such image: " + oci::Reference::parse(arguments.reference).familiar());
  }
  registry::Setup setup;
  setup.client.insecure_registries = arguments.insecure_registries;
  setup.trace = arguments.trace;
  RegistryAccess access(setup, repositories_of(names));
  restrict_system_calls();
  storage::Store store(arguments.root);
  store.sweep(storage::Store::Sweep::kThorough);
  std::optional<engine::PullResult> result;
  try_names(arguments.reference, names, [&](const oci::Reference& name, bool& is_found) {
    const auto on_event = [&](const engine::PullEvent& event) {
      if (event.kind == engine::PullEvent::Kind::kResolved) {
        is_found = true;
        // Before the event that shows it.
        if (name != oci::Reference::parse(arguments.reference)) {
          events.send_event({{"event", "named"}, {"text", name.str()}});
        }
      }
      events.send(event);
    };
    result = pull_named(store, access.client(), name, arguments, on_event);
  });
  store.discard_trash();
  return *result;
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
