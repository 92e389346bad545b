// Registry arguments: what all commands of sampan-image that talk to registries take.
#pragma once

#include <string>
#include <vector>

#include "cli/image/event_writer.h"
#include "registry/remote/messages.h"

namespace CLI {
class App;
}

namespace cli {

struct RegistryArguments {
  std::string root;
  std::vector<std::string> insecure_registries;
  bool trace = false;
};

void define_registry_arguments(CLI::App& app, RegistryArguments& arguments);

// What sampan-registry is started with; decisions become events where they are asked for.
registry::Setup make_setup(const RegistryArguments& arguments, EventWriter& events);

}  // namespace cli
