// sampan-image export: the directory that standard input is, as a flat tar on standard output.
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/image/image_commands.h"
#include "engine/image/rootfs_image.h"

namespace cli {

int run_export_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Write a container's files as a tar archive", "sampan-image export");
  std::string root;
  app.add_option("--root", root, "The store")->required();
  CLI11_PARSE(app, argc, argv);
  engine::export_tree(STDIN_FILENO, STDOUT_FILENO);
  events.send_result(nlohmann::ordered_json::object());
  return 0;
}

}  // namespace cli
