// sampan-image push: images of the store into a repository.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/registry_arguments.h"
#include "cli/image/system_calls.h"
#include "engine/image/pusher.h"
#include "storage/indexes.h"

namespace cli {
namespace {

struct PushArguments {
  RegistryArguments common;
  std::string reference, platform;
  bool all_tags = false;
  engine::PushOptions options;
};

struct Job {
  oci::Reference target;
  storage::ImageRow image;
};

// docker's words for what is not there.
[[noreturn]] void throw_missing(const oci::Reference& name, bool has_repository) {
  if (!has_repository) {
    throw base::Error(base::ErrorKind::kNotFound, "An image does not exist locally with the tag: " +
                                                      name.familiar_repository());
  }
  throw base::Error(base::ErrorKind::kNotFound, "tag does not exist: " + name.familiar());
}

storage::ImageRow load_for(storage::Store& store, const storage::ImageName& row,
                           const std::string& platform) {
  if (platform.empty()) return store.load_image(row.image);
  const auto wanted = oci::Platform::parse(platform);
  const std::string name = oci::Reference::parse(row.repository + ":" + row.tag).familiar();
  return storage::load_image_for(store, name, wanted);
}

std::vector<Job> find_jobs(storage::Store& store, const oci::Reference& name, bool all_tags,
                           const std::string& platform) {
  std::vector<Job> jobs;
  bool has_repository = false;
  for (const storage::ImageName& row : store.list_names()) {
    if (row.repository != name.repository() || row.tag.empty()) continue;
    has_repository = true;
    if (!all_tags && row.tag != name.tag()) continue;
    jobs.push_back({.target = name.with_tag(row.tag), .image = load_for(store, row, platform)});
  }
  if (jobs.empty()) throw_missing(name, has_repository && !all_tags);
  return jobs;
}

std::vector<std::string> names_of(storage::Store& store, const std::vector<Job>& jobs) {
  std::vector<std::string> names;
  for (const Job& job : jobs) {
    names.push_back(job.target.repository());
    const auto origins = engine::list_origins(store, job.image);
    names.insert(names.end(), origins.begin(), origins.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void push(const PushArguments& arguments, EventWriter& events) {
  const auto name = oci::Reference::parse(arguments.reference);
  if (name.digest()) {
    throw base::Error(base::ErrorKind::kInvalid, "cannot push a digest reference");
  }
  const registry::Setup setup = make_setup(arguments.common, events);
  storage::Store store(arguments.common.root);
  const std::vector<Job> jobs = find_jobs(store, name, arguments.all_tags, arguments.platform);
  RegistryAccess access(setup, names_of(store, jobs));
  // Nobody takes a layer away while it is sent.
  const base::UniqueFd hold = store.hold_layers();
  engine::MadeBlobs made;
  engine::PushOptions options = arguments.options;
  options.made = &made;
  for (const Job& job : jobs) {
    base::while_doing("push " + job.target.familiar(), [&] {
      engine::prepare_push(store, access.client(), job.image, job.target, options, made);
    });
  }
  restrict_system_calls();
  auto pushed = nlohmann::ordered_json::array();
  std::map<oci::ImageId, engine::PushResult> there;
  for (const Job& job : jobs) {
    const engine::PushResult result = base::while_doing("push " + job.target.familiar(), [&] {
      // All but the name is where another tag of the image has just been pushed.
      if (const auto known = there.find(job.image.id); known != there.end()) {
        access.client().push_manifest(job.target, known->second.manifest, known->second.media_type);
        return known->second;
      }
      return engine::push(store, access.client(), job.image, job.target, options,
                          [&](const engine::PushEvent& event) { events.send(event); });
    });
    const std::size_t size = result.manifest.size();
    storage::add_pushed_name(store, job.image.id, job.target, result.digest);
    const std::string tag = job.target.tag().value_or("");
    events.send_event(
        {{"event", "tagged"},
         {"text", tag + ": digest: " + result.digest.str() + " size: " + std::to_string(size)}});
    const bool is_first = there.emplace(job.image.id, result).second;
    if (is_first && !result.note.empty()) {
      events.send_event({{"event", "note"}, {"text", result.note}});
    }
    pushed.push_back({{"tag", tag}, {"digest", result.digest.str()}, {"size", size}});
  }
  events.send_result({{"pushed", pushed}});
}

}  // namespace

int run_push_command(int argc, char** argv, EventWriter& events) {
  PushArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_flag("--all-tags", arguments.all_tags, "Every tag of the repository");
    app.add_option("--platform", arguments.platform, "Only that platform, without the index");
    app.add_option("--parallel", arguments.options.parallel, "Layers at the same time");
    app.add_option("--chunk-size", arguments.options.chunk_bytes, "Bytes of an upload's request");
    app.add_option("REFERENCE", arguments.reference)->required();
  };
  const auto act = [&] {
    if (!arguments.platform.empty()) arguments.options.scope = engine::PushScope::kOnePlatform;
    push(arguments, events);
  };
  return run_registry_command({.name = "push",
                               .summary = "Push an image of a store of sampan",
                               .define = define,
                               .act = act},
                              arguments.common, argc, argv);
}

}  // namespace cli
