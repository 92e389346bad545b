// push: images of the store into a registry.
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/registry_helper.h"
#include "engine/archives.h"
#include "oci/reference.h"
#include "oci/transport.h"

namespace cli {
namespace {

void push_to_transport(const Globals& globals, const std::string& name, const std::string& target,
                       const std::string& platform) {
  if (!oci::find_transport(target)) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "\"" + target +
                          "\": no transport (docker-archive:, oci-archive:, oci: or dir:); for a "
                          "registry \"tag\" the image with its name there");
  }
  engine::save_to(globals.config, name, target, platform);
}

}  // namespace

int run_push(const Globals& globals, const Words& words) {
  bool quiet = false;
  bool all_tags = false;
  bool unused = false;
  std::uint64_t chunk_size = 0;
  std::string platform;
  const Words arguments = parse_arguments(
      {.command = "push",
       .synopsis = "[OPTIONS] NAME[:TAG] [TRANSPORT:PATH]",
       .summary = "Upload an image to a registry, or write it to an archive, layout or directory",
       .min_arguments = 1,
       .max_arguments = 2},
      {{"-a,--all-tags", "", "Push all tags of an image to the repository", &all_tags},
       {"--platform", "string",
        "Push one platform's image, as a single-platform image. Without it an image that was "
        "pulled with an index takes the index along if all its platforms are here",
        &platform},
       {"-q,--quiet", "", "Suppress verbose output", &quiet},
       {"--disable-content-trust", "", "Accepted for docker's sake", &unused},
       {"--chunk-size", "bytes", "Send layers in requests of so many bytes", &chunk_size}},
      words);
  const std::string& name = arguments[0];
  if (arguments.size() > 1) {
    if (all_tags || chunk_size > 0) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "--all-tags and --chunk-size are for registries only");
    }
    push_to_transport(globals, name, arguments[1], platform);
    if (quiet) print(arguments[1] + "\n");
    return 0;
  }
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
    if (progress.kind == "note") return print_error(progress.text);
    if (progress.kind != "tagged") return display->show(progress);
    display.reset();  // the next tag's layers stand below this line
    if (!quiet) print(progress.text + "\n");
  };
  Words more;
  if (all_tags) more.emplace_back("--all-tags");
  if (!platform.empty()) more.insert(more.end(), {"--platform", platform});
  if (chunk_size > 0) more.insert(more.end(), {"--chunk-size", std::to_string(chunk_size)});
  more.insert(more.end(), {"--", name});
  run_registry_helper(globals, "push", more, {}, show);
  if (quiet) print((all_tags ? reference.repository() : reference.str()) + "\n");
  return 0;
}

}  // namespace cli
