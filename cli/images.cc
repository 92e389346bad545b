// rmi, tag.
#include <algorithm>
#include <optional>

#include "base/split.h"
#include "cli/command.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "storage/indexes.h"

namespace cli {
namespace {

// Each word may hold several, as docker has it: "linux/amd64,linux/arm64".
std::vector<oci::Platform> parse_platforms(const Words& words) {
  std::vector<oci::Platform> platforms;
  for (const std::string& word : words) {
    for (const std::string_view part : base::split(word, ',')) {
      platforms.push_back(oci::Platform::parse(part));
    }
  }
  return platforms;
}

// The platform that the name or id itself stands for goes last: the others are found by it. Throws
// where one is not here, before anything goes.
std::vector<oci::Platform> in_order_of_removal(storage::Store& store, const std::string& name,
                                               std::vector<oci::Platform> platforms) {
  const oci::ImageId named = storage::load_image_for(store, name, std::nullopt).id;
  std::stable_partition(platforms.begin(), platforms.end(), [&](const oci::Platform& platform) {
    return storage::load_image_for(store, name, platform).id != named;
  });
  return platforms;
}

void print_removed(const storage::Store::Untagged& result) {
  for (const std::string& untagged : result.names) print("Untagged: " + untagged + "\n");
  if (result.deleted) print("Deleted: " + result.deleted->str() + "\n");
  for (const std::string& layer : result.layers) print("Deleted: sha256:" + layer + "\n");
}

}  // namespace

int run_rmi(const Globals& globals, const Words& words) {
  bool force = false;
  bool no_prune = false;
  Words platform_words;
  const Words arguments = parse_arguments(
      {.command = "rmi",
       .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
       .summary = "Remove one or more images",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--force", "", "Force removal of the image", &force},
       {"--no-prune", "", "Accepted for docker's sake; there are no untagged parents", &no_prune},
       {"--platform", "strings",
        "Remove only the given platform variant (e.g. \"linux/arm64\"); may be repeated",
        &platform_words}},
      words);
  const std::vector<oci::Platform> platforms = parse_platforms(platform_words);
  engine::Engine engine(globals.config);
  using storage::Store;
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    const auto how = force ? Store::Force::kYes : Store::Force::kNo;
    if (platforms.empty()) {
      print_removed(engine.store().remove_image(name, how));
      return;
    }
    for (const oci::Platform& platform : in_order_of_removal(engine.store(), name, platforms)) {
      print_removed(storage::remove_image_for(engine.store(), name, platform, how));
    }
  });
  if (engine.store().sweep(Store::Sweep::kAllButTrash) > 0) engine::start_janitor(globals.config);
  return code;
}

int run_tag(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "tag",
                       .synopsis = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                       .summary = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
                       .min_arguments = 2,
                       .max_arguments = 2},
                      {}, words);
  const auto target = oci::Reference::parse(arguments[1]);
  if (target.digest())
    throw base::Error(base::ErrorKind::kInvalid,
                      "refusing to create a tag with a digest reference");
  engine::Engine engine(globals.config);
  const auto image = engine.store().find_image(arguments[0]);
  if (!image) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + arguments[0]);
  engine.store().tag_image(image->id, target);
  return 0;
}

}  // namespace cli
