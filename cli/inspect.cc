// inspect, and bundle export.
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/documents.h"

namespace cli {
namespace {

enum class ObjectType { kAny, kContainer, kImage };

std::optional<std::string> find_object(engine::Engine& engine, ObjectType type,
                                       const std::string& name) {
  if (type != ObjectType::kImage) {
    if (auto found = engine.inspect_container(name)) return found;
  }
  if (type != ObjectType::kContainer) {
    if (auto found = engine.inspect_image(name)) return found;
  }
  return std::nullopt;
}

int inspect(const Globals& globals, const Words& words, const std::string& command,
            ObjectType type) {
  std::string format;
  std::string wanted_type;
  bool size = false;
  const Words arguments = parse_arguments(
      {.command = command,
       .synopsis = "[OPTIONS] NAME|ID [NAME|ID...]",
       .summary = "Return low-level information on containers and images",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--format", "string", "Format output using a Go template, or \"json\"", &format},
       {"-s,--size", "", "Accepted for docker's sake", &size},
       {"--type", "string", "Only inspect objects of the given type (\"container\", \"image\")",
        &wanted_type}},
      words);
  if (wanted_type == "container") type = ObjectType::kContainer;
  if (wanted_type == "image") type = ObjectType::kImage;
  if (!wanted_type.empty() && wanted_type != "container" && wanted_type != "image") {
    throw base::Error(base::ErrorKind::kInvalid,
                      "\"" + wanted_type + "\" is not a valid value for --type");
  }
  Documents documents(format);
  engine::Engine engine(globals.config);
  const char* kind = type == ObjectType::kContainer ? "container"
                     : type == ObjectType::kImage   ? "image"
                                                    : "object";
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    const auto document = find_object(engine, type, name);
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
