// rmi, tag.
#include "cli/command.h"
#include "oci/reference.h"

namespace cli {

int run_rmi(const Globals& globals, const Words& words) {
  bool force = false;
  bool no_prune = false;
  const Words arguments = parse_arguments(
      {.command = "rmi",
       .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
       .summary = "Remove one or more images",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--force", "", "Force removal of the image", &force},
       {"--no-prune", "", "Accepted for docker's sake; there are no untagged parents", &no_prune}},
      words);
  engine::Engine engine(globals.config);
  using storage::Store;
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    const auto result =
        engine.store().remove_image(name, force ? Store::Force::kYes : Store::Force::kNo);
    for (const std::string& untagged : result.names) print("Untagged: " + untagged + "\n");
    if (result.deleted) print("Deleted: " + result.deleted->str() + "\n");
    for (const std::string& layer : result.layers) print("Deleted: sha256:" + layer + "\n");
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
