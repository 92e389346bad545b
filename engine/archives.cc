#include "engine/archives.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/bundle.h"
#include "engine/helper_events.h"
#include "engine/image_helper.h"

namespace engine {
namespace {

void add_platform(std::vector<std::string>& words, const std::string& platform) {
  if (!platform.empty()) words.insert(words.end(), {"--platform", platform});
}

}  // namespace

std::vector<LoadedArchiveImage> load_images(const Config& config, int fd,
                                            const std::string& platform,
                                            const OnProgress& on_progress) {
  HelperCommand command{.words = {"load"}, .stdin_fd = fd};
  add_platform(command.words, platform);
  const nlohmann::json result = run_image_helper(config, command, on_progress);
  std::vector<LoadedArchiveImage> images;
  for (const nlohmann::json& image : result.at("images")) {
    images.push_back(
        {image.at("image").get<std::string>(), image.at("names").get<std::vector<std::string>>()});
  }
  return images;
}

PullSummary pull_from(const Config& config, const std::string& source, const std::string& platform,
                      const OnProgress& on_progress) {
  HelperCommand command{.words = {"load"}};
  add_platform(command.words, platform);
  command.words.insert(command.words.end(), {"--", source});
  return to_pull_summary(run_image_helper(config, command, on_progress));
}

void save_images(const Config& config, const SaveRequest& request, int fd) {
  HelperCommand command{.words = {"save", "--format", request.format}, .stdout_fd = fd};
  add_platform(command.words, request.platform);
  command.words.emplace_back("--");
  command.words.insert(command.words.end(), request.images.begin(), request.images.end());
  run_image_helper(config, command, nullptr);
}

void save_to(const Config& config, const std::string& image, const std::string& target,
             const std::string& platform) {
  HelperCommand command{.words = {"save", "--to", target}};
  add_platform(command.words, platform);
  command.words.insert(command.words.end(), {"--", image});
  run_image_helper(config, command, nullptr);
}

std::string import_image(const Config& config, const ImportRequest& request, int fd,
                         const OnProgress& on_progress) {
  HelperCommand command{.words = {"import", "--config", request.config}, .stdin_fd = fd};
  if (!request.name.empty()) command.words.insert(command.words.end(), {"--name", request.name});
  if (!request.url.empty()) {
    command.words.insert(command.words.end(), {"--url", request.url});
    for (const std::string& host : config.insecure_registries) {
      command.words.insert(command.words.end(), {"--insecure-registry", host});
    }
  }
  return run_image_helper(config, command, on_progress).at("image").get<std::string>();
}

// The tree is mounted detached: nobody but the helper, which gets its descriptor, can see it.
void export_container(Engine& engine, std::string_view name_or_id, int fd) {
  storage::Store& store = engine.store();
  const storage::ContainerRow row = load_row(store, name_or_id);
  const ImageTree tree = open_tree(store, store.load_image(row.image), store.container_dir(row.id));
  const base::UniqueFd root = tree.open_merged();
  run_image_helper(engine.config(), {.words = {"export"}, .stdin_fd = root.get(), .stdout_fd = fd},
                   nullptr);
}

}  // namespace engine
