// push: images of the store into a registry.
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/registry_helper.h"
#include "oci/reference.h"

namespace cli {

int run_push(const Globals& globals, const Words& words) {
  bool quiet = false;
  bool all_tags = false;
  std::uint64_t chunk_size = 0;
  const Words arguments = parse_arguments(
      {.command = "push",
       .synopsis = "[OPTIONS] NAME[:TAG]",
       .summary = "Upload an image to a registry",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"-a,--all-tags", "", "Push all tags of an image to the repository", &all_tags},
       {"-q,--quiet", "", "Suppress verbose output", &quiet},
       {"--chunk-size", "bytes", "Send layers in requests of so many bytes", &chunk_size}},
      words);
  const std::string& name = arguments[0];
  const auto reference = oci::Reference::parse(name);
  const bool says_tag = reference.tag() != "latest" || name.ends_with(":latest");
  if (all_tags && says_tag) {
    throw base::Error(base::ErrorKind::kInvalid, "tag can't be used with --all-tags/-a");
  }
  if (!quiet && !all_tags && !says_tag) print("Using default tag: latest\n");
  if (!quiet) print("The push refers to repository [" + reference.repository() + "]\n");

  const PullOutput output = quiet ? PullOutput::kQuiet : PullOutput::kStdout;
  std::optional<PullDisplay> display;
  const auto show = [&](const engine::PullProgress& progress) {
    if (!display) display.emplace(output, name);
    if (progress.kind != "tagged") return display->show(progress);
    display.reset();  // the next tag's layers stand below this line
    if (!quiet) print(progress.text + "\n");
  };
  Words more;
  if (all_tags) more.emplace_back("--all-tags");
  if (chunk_size > 0) more.insert(more.end(), {"--chunk-size", std::to_string(chunk_size)});
  more.insert(more.end(), {"--", name});
  run_registry_helper(globals, "push", more, {}, show);
  if (quiet) print((all_tags ? reference.repository() : reference.str()) + "\n");
  return 0;
}

}  // namespace cli
