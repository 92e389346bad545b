// system start: brings back what should run, for a unit that is started at boot.
#include "cli/command.h"

namespace cli {

int run_system_start(const Globals& globals, const Words& words) {
  parse_arguments({.command = "system start",
                   .synopsis = "",
                   .summary = "Start the containers that their restart policy wants to run"},
                  {}, words);
  engine::Engine engine(globals.config);
  const std::vector<std::string> failures = engine.start_wanted();
  for (const std::string& failure : failures) print_error("sampan: " + failure);
  return failures.empty() ? 0 : 1;
}

}  // namespace cli
