// Registry helper: the commands of sampan-image that talk to registries, as those of the user need
// them.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "cli/command.h"

namespace cli {

// Runs "push", "login", ... with the flags that all of them share. `input` is its standard input.
nlohmann::json run_registry_helper(
    const Globals& globals, std::string_view command, const Words& words,
    const std::string& input = {},
    const std::function<void(const engine::PullProgress&)>& on_progress = {});

}  // namespace cli
