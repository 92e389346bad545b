#include "engine/process_plan.h"

#include <algorithm>

#include "base/error.h"

namespace engine {
namespace {

constexpr char kDefaultPath[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

auto find_entry(auto& environment, std::string_view name) {
  return std::find_if(environment.begin(), environment.end(),
                      [&](const std::string& entry) { return name_of(entry) == name; });
}

}  // namespace

std::vector<std::string> plan_arguments(const oci::ImageConfig& image,
                                        const ContainerOptions& options) {
  std::vector<std::string> arguments = options.entrypoint.value_or(image.entrypoint);
  // `--entrypoint ""` is docker's way to clear the image's.
  if (arguments.size() == 1 && arguments.front().empty()) arguments.clear();
  const bool image_command = !options.entrypoint && options.command.empty();
  const std::vector<std::string>& command = image_command ? image.cmd : options.command;
  arguments.insert(arguments.end(), command.begin(), command.end());
  if (arguments.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "no command specified");
  }
  if (arguments.front().empty()) {
    throw base::Error(base::ErrorKind::kCommandNotFound,
                      "exec: \"\": executable file not found in $PATH");
  }
  return arguments;
}

std::vector<std::string> merge_environment(std::vector<std::string> base,
                                           const std::vector<std::string>& changes) {
  for (const std::string& change : changes) {
    const auto it = find_entry(base, name_of(change));
    if (change.find('=') == std::string::npos) {
      if (it != base.end()) base.erase(it);
    } else if (it != base.end()) {
      *it = change;
    } else {
      base.push_back(change);
    }
  }
  return base;
}

std::vector<std::string> plan_environment(const oci::ImageConfig& image,
                                          const ContainerOptions& options,
                                          const std::vector<std::string>& links,
                                          std::string_view hostname, std::string_view home) {
  std::vector<std::string> environment = {kDefaultPath, "HOSTNAME=" + std::string(hostname)};
  if (options.tty) environment.emplace_back("TERM=xterm");
  environment = merge_environment(std::move(environment), links);
  environment = merge_environment(std::move(environment), options.env);
  for (const std::string& entry : image.env) {
    if (find_entry(options.env, name_of(entry)) != options.env.end()) continue;
    environment = merge_environment(std::move(environment), {entry});
  }
  if (find_entry(environment, "HOME") == environment.end()) {
    environment.push_back("HOME=" + std::string(home));
  }
  return environment;
}

std::string find_variable(const std::vector<std::string>& environment, std::string_view name) {
  const auto it = find_entry(environment, name);
  if (it == environment.end() || it->size() == name.size()) return {};
  return it->substr(name.size() + 1);
}

}  // namespace engine
