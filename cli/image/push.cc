// sampan-image push: images of the store into a repository.
#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/registry_arguments.h"
#include "engine/image/pusher.h"
#include "storage/store.h"

namespace cli {
namespace {

struct Arguments {
  RegistryArguments common;
  std::string reference;
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

std::vector<Job> find_jobs(storage::Store& store, const oci::Reference& name, bool all_tags) {
  std::vector<Job> jobs;
  bool has_repository = false;
  for (const storage::ImageName& row : store.list_names()) {
    if (row.repository != name.repository() || row.tag.empty()) continue;
    has_repository = true;
    if (!all_tags && row.tag != name.tag()) continue;
    jobs.push_back({.target = name.with_tag(row.tag), .image = store.load_image(row.image)});
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

void push(const Arguments& arguments, EventWriter& events) {
  const auto name = oci::Reference::parse(arguments.reference);
  if (name.digest()) {
    throw base::Error(base::ErrorKind::kInvalid, "cannot push a digest reference");
  }
  const registry::Setup setup = make_setup(arguments.common, events);
  storage::Store store(arguments.common.root);
  const std::vector<Job> jobs = find_jobs(store, name, arguments.all_tags);
  RegistryAccess access(setup, names_of(store, jobs));
  // Nobody takes a layer away while it is sent.
  const base::UniqueFd hold = store.hold_layers();
  auto pushed = nlohmann::ordered_json::array();
  for (const Job& job : jobs) {
    const engine::PushResult result = base::while_doing("push " + job.target.familiar(), [&] {
      return engine::push(store, access.client(), job.image, job.target, arguments.options,
                          [&](const engine::PushEvent& event) { events.send(event); });
    });
    const std::string tag = job.target.tag().value_or("");
    events.send_event({{"event", "tagged"},
                       {"text", tag + ": digest: " + result.digest.str() +
                                    " size: " + std::to_string(result.size)}});
    pushed.push_back({{"tag", tag}, {"digest", result.digest.str()}, {"size", result.size}});
  }
  events.send_result({{"pushed", pushed}});
}

}  // namespace

int run_push_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Push an image of a store of sampan", "sampan-image push");
  Arguments arguments;
  define_registry_arguments(app, arguments.common);
  app.add_flag("--all-tags", arguments.all_tags, "Every tag of the repository");
  app.add_option("--parallel", arguments.options.parallel, "Layers at the same time");
  app.add_option("--chunk-size", arguments.options.chunk_bytes, "Bytes of an upload's request");
  app.add_option("REFERENCE", arguments.reference)->required();
  CLI11_PARSE(app, argc, argv);
  push(arguments, events);
  return 0;
}

}  // namespace cli
