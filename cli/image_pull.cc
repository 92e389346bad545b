// pull: images from registries, one name or several, one tag or all.
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/registry_helper.h"
#include "oci/reference.h"
#include "oci/transport.h"

namespace cli {
namespace {

struct Options {
  bool quiet = false, all_tags = false, unused = false;
  std::string platform;
};

bool says_tag(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return name.find_first_of(":@", slash == std::string::npos ? 0 : slash) != std::string::npos;
}

// The full name of what was pulled.
std::string pull_one(engine::Engine& engine, const std::string& name, const Options& options) {
  PullDisplay display(options.quiet ? PullOutput::kQuiet : PullOutput::kStdout, name);
  std::string full = oci::Reference::parse(name).str();
  const engine::PullSummary summary =
      engine.pull(name, options.platform, [&](const engine::PullProgress& progress) {
        if (progress.kind == "named") full = progress.text;
        display.show(progress);
      });
  display.finish(summary);
  return full;
}

void pull_all_tags(const Globals& globals, engine::Engine& engine, const std::string& name,
                   const Options& options) {
  if (says_tag(name)) {
    throw base::Error(base::ErrorKind::kInvalid, "tag can't be used with --all-tags/-a");
  }
  const nlohmann::json result = run_registry_helper(globals, "tags", {"--", name});
  const auto repository = oci::Reference::parse(result.at("name").get<std::string>());
  for (const nlohmann::json& tag : result.at("tags")) {
    pull_one(engine, repository.with_tag(tag.get<std::string>()).str(), options);
  }
  print(repository.repository() + "\n");
}

void pull_name(const Globals& globals, engine::Engine& engine, const std::string& name,
               const Options& options) {
  if (oci::find_transport(name)) {
    pull_from_source(globals, name, options.platform, options.quiet);
    return;
  }
  if (options.all_tags) return pull_all_tags(globals, engine, name, options);
  if (!options.quiet && !says_tag(name)) print("Using default tag: latest\n");
  print(pull_one(engine, name, options) + "\n");
}

}  // namespace

int run_pull(const Globals& globals, const Words& words) {
  Options options;
  const Words names = parse_arguments(
      {.command = "pull",
       .synopsis = "[OPTIONS] NAME[:TAG|@DIGEST] [NAME...]",
       .summary = "Download images from a registry",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-a,--all-tags", "", "Download all tagged images in the repository", &options.all_tags},
       {"-q,--quiet", "", "Suppress verbose output", &options.quiet},
       {"--disable-content-trust", "", "Accepted for docker's sake", &options.unused},
       {"--platform", "string", "Set platform if server is multi-platform capable",
        &options.platform}},
      words);
  // A bad name fails before anything is started.
  for (const std::string& name : names) {
    if (!oci::find_transport(name)) oci::Reference::parse(name);
  }
  engine::Engine engine(globals.config);
  if (names.size() == 1) {
    pull_name(globals, engine, names.front(), options);
    return 0;
  }
  return for_each_argument(
      names, [&](const std::string& name) { pull_name(globals, engine, name, options); });
}

}  // namespace cli
