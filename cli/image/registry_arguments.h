// Registry arguments: what all commands of sampan-image that talk to registries take.
#pragma once

#include <functional>
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

// One of those commands: its name, and one line about it.
struct RegistryCommand {
  const char* name;  // "push"
  const char* summary;
  std::function<void(CLI::App&)> define;  // arguments of its own
  std::function<void()> act;              // once all of them are known
};

// Parses `argv` into `common` and what `define` names, then acts. The exit code.
int run_registry_command(const RegistryCommand& command, RegistryArguments& common, int argc,
                         char** argv);

// What sampan-registry is started with; decisions become events where they are asked for.
registry::Setup make_setup(const RegistryArguments& arguments, EventWriter& events);

}  // namespace cli
