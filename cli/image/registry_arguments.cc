#include "cli/image/registry_arguments.h"

#include <CLI/CLI.hpp>

#include "base/trace.h"

namespace cli {
namespace {

void define_registry_arguments(CLI::App& app, RegistryArguments& arguments) {
  app.add_option("--root", arguments.root, "The store")->required();
  app.add_option("--insecure-registry", arguments.insecure_registries,
                 "Host or network with which plain HTTP is allowed")
      ->allow_extra_args(false);
  app.add_flag("--trace", arguments.trace, "Decisions and times as events");
}

}  // namespace

int run_registry_command(const RegistryCommand& command, RegistryArguments& common, int argc,
                         char** argv) {
  CLI::App app(command.summary, std::string("sampan-image ") + command.name);
  define_registry_arguments(app, common);
  command.define(app);
  CLI11_PARSE(app, argc, argv);
  command.act();
  return 0;
}

registry::Setup make_setup(const RegistryArguments& arguments, EventWriter& events) {
  if (arguments.trace) {
    base::set_trace_sink([&events](const base::TraceEvent& event) { events.send(event); });
  }
  registry::Setup setup;
  setup.client.insecure_registries = arguments.insecure_registries;
  setup.trace = arguments.trace;
  return setup;
}

}  // namespace cli
