#include <nlohmann/json.hpp>

#include "engine/archives.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/helper_events.h"
#include "engine/image_helper.h"
#include "engine/pull_command.h"

namespace engine {

PullSummary pull_image(const Config& config, std::string_view reference, std::string_view platform,
                       PullWhen when, const std::function<void(const PullProgress&)>& on_progress) {
  HelperCommand command{.words = {"pull"}};
  if (!platform.empty()) {
    command.words.insert(command.words.end(), {"--platform", std::string(platform)});
  }
  if (when == PullWhen::kMissing) command.words.emplace_back("--if-missing");
  if (when == PullWhen::kNever) command.words.emplace_back("--never");
  for (const std::string& host : config.insecure_registries) {
    command.words.insert(command.words.end(), {"--insecure-registry", host});
  }
  command.words.emplace_back("--");
  command.words.emplace_back(reference);
  return to_pull_summary(run_image_helper(config, command, on_progress));
}

PullSummary Engine::pull(std::string_view reference, std::string_view platform,
                         const std::function<void(const PullProgress&)>& on_progress) {
  if (oci::find_transport(reference)) {
    return pull_from(state_->config, std::string(reference), std::string(platform), on_progress);
  }
  return pull_image(state_->config, reference, platform, PullWhen::kAlways, on_progress);
}

}  // namespace engine
