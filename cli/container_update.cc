// update: what changes of a container that exists, running or not.
#include "cli/command.h"
#include "cli/container_flags.h"
#include "cli/resource_flags.h"
#include "engine/networks.h"
#include "engine/update.h"

namespace cli {
namespace {

std::vector<engine::PortOption> ports_in(const Words& texts) {
  std::vector<engine::PortOption> ports;
  for (const std::string& text : texts) {
    for (engine::PortOption& port : parse_ports(text)) ports.push_back(std::move(port));
  }
  return ports;
}

}  // namespace

int run_update(const Globals& globals, const Words& words) {
  ResourceFlags resources;
  std::string restart;
  Words added;
  Words removed;
  std::vector<Flag> flags = resources.flags(ResourceFlags::Use::kUpdate);
  flags.push_back(
      {"--restart", "string",
       "Restart policy when a container exits (no|on-failure[:max-retries]|always|unless-stopped)",
       &restart});
  flags.push_back(
      {"--publish-add", "list", "Publish more of a container's ports, as -p does", &added});
  flags.push_back({"--publish-rm", "list",
                   "Publish a container's port no longer ([HOST:]PORT[/PROTO])", &removed});
  const Words arguments =
      parse_arguments({.command = "update",
                       .synopsis = "[OPTIONS] CONTAINER [CONTAINER...]",
                       .summary = "Update configuration of one or more containers",
                       .min_arguments = 1,
                       .max_arguments = kAnyNumber},
                      flags, words);
  engine::UpdateRequest request;
  request.limits = resources.to_limits();
  if (!restart.empty()) request.restart = engine::parse_restart_rule(restart);
  const bool has_limits = request.limits != engine::ResourceLimits{} || request.restart;
  const std::vector<engine::PortOption> add = ports_in(added);
  const std::vector<engine::PortOption> remove = ports_in(removed);
  if (add.empty() && remove.empty() && !has_limits) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "you must provide one or more flags when using this command");
  }
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    if (has_limits) {
      for (const std::string& warning : engine::update_container(engine, name, request)) {
        print_error("WARNING: " + warning);
      }
    }
    if (!add.empty() || !remove.empty()) engine::change_ports(engine, name, add, remove);
    print(name + "\n");
  });
}

}  // namespace cli
