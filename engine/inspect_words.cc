#include "engine/inspect_words.h"

#include "engine/process_plan.h"
#include "engine/security_plan.h"
#include "engine/spec.h"
#include "runtime/defaults.h"

namespace engine {

const char* status_word(storage::ContainerStatus status) {
  switch (status) {
    case storage::ContainerStatus::kCreated:
      return "created";
    case storage::ContainerStatus::kRunning:
      return "running";
    case storage::ContainerStatus::kPaused:
      return "paused";
    case storage::ContainerStatus::kExited:
      return "exited";
    case storage::ContainerStatus::kRemoving:
      return "removing";
    case storage::ContainerStatus::kRestarting:
      return "restarting";
    case storage::ContainerStatus::kDead:
      break;
  }
  return "dead";
}

std::vector<std::string> config_environment(const oci::ImageConfig& image,
                                            const ContainerOptions& options) {
  std::vector<std::string> result;
  for (const std::string& entry : options.env) {
    if (entry.find('=') != std::string::npos) result.push_back(entry);
  }
  for (const std::string& entry : image.env) {
    const std::string name = entry.substr(0, entry.find('='));
    bool set = false;
    for (const std::string& own : options.env) set = set || own.substr(0, own.find('=')) == name;
    if (!set) result.push_back(entry);
  }
  return result;
}

oci::RuntimeSpec describe_spec(const BundleInput& input) {
  oci::RuntimeSpec spec;
  spec.hostname = plan_hostname(input.row.id, input.options, "");
  spec.process.emplace();
  spec.process->args = plan_arguments(input.image_config, input.options);
  spec.linux_.resources = plan_resources(input.options, {});
  const SecurityOptions security = parse_security_options(input.options.security_opt);
  if (!input.options.privileged && !security.system_paths_unconfined) {
    spec.linux_.masked_paths = runtime::default_masked_paths();
    spec.linux_.readonly_paths = runtime::default_readonly_paths();
  }
  return spec;
}

}  // namespace engine
