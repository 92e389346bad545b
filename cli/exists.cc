// container, image, network and volume exists: podman's question, answered by the exit code alone.
#include "cli/command.h"

namespace cli {
namespace {

using Question = bool (*)(storage::Store&, const std::string&);

int answer(const char* family, const char* argument, Question question, const Globals& globals,
           const Words& words) {
  const std::string what = family;
  const Words arguments =
      parse_arguments({.command = what + " exists",
                       .synopsis = argument,
                       .summary = "Say by the exit code whether there is such a " + what,
                       .min_arguments = 1,
                       .max_arguments = 1},
                      {}, words);
  engine::Engine engine(globals.config);
  return question(engine.store(), arguments[0]) ? 0 : 1;
}

}  // namespace

int run_container_exists(const Globals& globals, const Words& words) {
  return answer(
      "container", "CONTAINER",
      [](storage::Store& store, const std::string& name) {
        return store.find_container(name).has_value();
      },
      globals, words);
}

int run_image_exists(const Globals& globals, const Words& words) {
  return answer(
      "image", "IMAGE",
      [](storage::Store& store, const std::string& name) {
        return store.find_image(name).has_value();
      },
      globals, words);
}

int run_network_exists(const Globals& globals, const Words& words) {
  return answer(
      "network", "NETWORK",
      [](storage::Store& store, const std::string& name) {
        return name == "bridge" || name == "host" || name == "none" ||
               store.find_network_by(name).has_value();
      },
      globals, words);
}

int run_volume_exists(const Globals& globals, const Words& words) {
  return answer(
      "volume", "VOLUME",
      [](storage::Store& store, const std::string& name) {
        return store.find_volume(name).has_value();
      },
      globals, words);
}

}  // namespace cli
