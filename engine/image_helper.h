// run_image_helper: one command of sampan-image, the process that reads and writes archives and
// talks to registries.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "engine/engine.h"

namespace engine {

struct HelperCommand {
  std::vector<std::string> words;  // "pull", then its own flags and arguments; --root is added
  int stdin_fd = -1;               // borrowed; -1: /dev/null
  int stdout_fd = -1;              // borrowed; -1: our standard error
  int directory_fd = -1;           // borrowed; what it works on, as its descriptor 4; -1: none
};

// Runs it to its end; progress is handed on as it comes. Gives the fields of its result
// (engine/image/README.md); throws what it reports as an error, with its kind.
nlohmann::json run_image_helper(const Config& config, const HelperCommand& command,
                                const std::function<void(const PullProgress&)>& on_progress);

}  // namespace engine
