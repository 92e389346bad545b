// sampan-image save: images of the store as an archive on standard output, or one to elsewhere.
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "engine/image/archive_save.h"
#include "storage/store.h"

namespace cli {
namespace {

engine::ArchiveFormat parse_format(const std::string& text) {
  if (text == "docker-archive") return engine::ArchiveFormat::kDocker;
  if (text == "oci-archive") return engine::ArchiveFormat::kOci;
  throw base::Error(base::ErrorKind::kInvalid,
                    "unknown format \"" + text + "\": docker-archive or oci-archive");
}

}  // namespace

int run_save_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Save images as an archive", "sampan-image save");
  std::string root;
  std::string platform;
  std::string target;
  std::string format = "docker-archive";
  std::vector<std::string> images;
  app.add_option("--root", root, "The store")->required();
  app.add_option("--platform", platform, "OS/ARCHITECTURE[/VARIANT] that they must have");
  app.add_option("--format", format, "docker-archive or oci-archive");
  app.add_option("--to", target, "A transport instead of standard output, for one image");
  app.add_option("IMAGE", images)->required();
  CLI11_PARSE(app, argc, argv);
  std::optional<oci::Platform> wanted;
  if (!platform.empty()) wanted = oci::Platform::parse(platform);
  const engine::ArchiveFormat archive_format = parse_format(format);
  storage::Store store(root);
  if (target.empty()) {
    engine::save_archive(store, images, archive_format, wanted, STDOUT_FILENO);
  } else {
    const auto transport = oci::find_transport(target);
    if (!transport) throw base::Error(base::ErrorKind::kInvalid, target + ": no transport");
    base::while_doing(target, [&] { engine::save_to(store, images.front(), *transport, wanted); });
  }
  events.send_result(nlohmann::ordered_json::object());
  return 0;
}

}  // namespace cli
