// inspect, and bundle export.
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/documents.h"

namespace cli {
namespace {

enum class ObjectType { kAny, kContainer, kImage };

struct InspectFlags {
  std::string format, type, platform;
  bool size = false;
};

std::optional<std::string> find_object(engine::Engine& engine, ObjectType type,
                                       const std::string& name, const InspectFlags& flags) {
  using Size = engine::Engine::InspectSize;
  if (type != ObjectType::kImage) {
    const Size size = flags.size ? Size::kMeasured : Size::kNo;
    if (auto found = engine.inspect_container(name, size)) return found;
  }
  if (type != ObjectType::kContainer) {
    auto found = engine.inspect_image(name, flags.platform);
    if (found && flags.size) print_error("WARNING: --size ignored for image");
    return found;
  }
  return std::nullopt;
}

// docker's flags of the command at hand, and --type of all.
std::vector<Flag> flags_for(ObjectType type, InspectFlags& flags) {
  std::vector<Flag> table = {
      {"-f,--format", "string", "Format output using a Go template, or \"json\"", &flags.format}};
  if (type == ObjectType::kImage) {
    table.push_back({"--platform", "string",
                     "Inspect a specific platform of the multi-platform image (e.g. "
                     "\"linux/arm64\")",
                     &flags.platform});
  } else {
    table.push_back(
        {"-s,--size", "", "Display total file sizes if the type is container", &flags.size});
  }
  table.push_back({"--type", "string",
                   "Only inspect objects of the given type (\"container\", \"image\")",
                   &flags.type});
  return table;
}

int inspect(const Globals& globals, const Words& words, const std::string& command,
            ObjectType type) {
  InspectFlags flags;
  const Words arguments =
      parse_arguments({.command = command,
                       .synopsis = "[OPTIONS] NAME|ID [NAME|ID...]",
                       .summary = "Return low-level information on containers and images",
                       .min_arguments = 1,
                       .max_arguments = kAnyNumber},
                      flags_for(type, flags), words);
  if (flags.type == "container") type = ObjectType::kContainer;
  if (flags.type == "image") type = ObjectType::kImage;
  if (!flags.type.empty() && flags.type != "container" && flags.type != "image") {
    throw base::Error(base::ErrorKind::kInvalid,
                      "\"" + flags.type + "\" is not a valid value for --type");
  }
  Documents documents(flags.format);
  engine::Engine engine(globals.config);
  const char* kind = type == ObjectType::kContainer ? "container"
                     : type == ObjectType::kImage   ? "image"
                                                    : "object";
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    const auto document = find_object(engine, type, name, flags);
    if (!document)
      throw base::Error(base::ErrorKind::kNotFound, std::string("No such ") + kind + ": " + name);
    documents.add(*document);
  });
  documents.finish();
  return code;
}

}  // namespace

int run_inspect(const Globals& globals, const Words& words) {
  return inspect(globals, words, "inspect", ObjectType::kAny);
}
int run_inspect_container(const Globals& globals, const Words& words) {
  return inspect(globals, words, "container inspect", ObjectType::kContainer);
}
int run_inspect_image(const Globals& globals, const Words& words) {
  return inspect(globals, words, "image inspect", ObjectType::kImage);
}

int run_bundle_export(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments(
      {.command = "bundle export",
       .synopsis = "CONTAINER|IMAGE DIRECTORY",
       .summary = "Write an OCI bundle (config.json and rootfs) that runc and crun can run",
       .min_arguments = 2,
       .max_arguments = 2},
      {}, words);
  engine::Engine engine(globals.config);
  engine.export_bundle(arguments[0], std::filesystem::absolute(arguments[1]));
  return 0;
}

}  // namespace cli
