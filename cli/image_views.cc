// history, image tree, image mount, image unmount.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "engine/image_mount.h"
#include "oci/image_config.h"
#include "storage/indexes.h"

namespace cli {
namespace {

constexpr std::size_t kShortId = 12;
constexpr std::size_t kCreatedBy = 45;
constexpr std::size_t kLongText = 64U << 10U;

storage::ImageRow load_image(engine::Engine& engine, const std::string& name) {
  auto image = engine.store().find_image(name);
  if (!image) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + name);
  return std::move(*image);
}

base::Nanoseconds time_of(const std::string& text) {
  try {
    return text.empty() ? 0 : base::parse_rfc3339(text);
  } catch (const base::Error&) {
    return 0;  // whoever built the image wrote it
  }
}

struct Step {
  oci::HistoryEntry entry;
  std::uint64_t size = 0;
  std::size_t layers = 0;  // from the bottom up to here
};

// Oldest first. Layers that the history says nothing of come as steps without words.
std::vector<Step> list_steps(engine::Engine& engine, const storage::ImageRow& image,
                             const oci::ImageConfig& config) {
  std::vector<Step> steps;
  std::size_t layer = 0;
  for (const oci::HistoryEntry& entry : config.history) {
    Step step{.entry = entry};
    if (!entry.empty_layer && layer < image.layer_keys.size()) {
      step.size = engine.store().layer_size(image.layer_keys[layer++]);
    }
    step.layers = layer;
    steps.push_back(std::move(step));
  }
  for (; layer < image.layer_keys.size(); ++layer) {
    steps.push_back({.entry = {.created = config.created},
                     .size = engine.store().layer_size(image.layer_keys[layer]),
                     .layers = layer + 1});
  }
  if (steps.empty()) steps.push_back({.entry = {.created = config.created}});
  return steps;
}

// Images that this one was made of: their layers and histories are beginnings of its own. By the
// number of their steps.
std::map<std::size_t, std::string> find_ancestors(engine::Engine& engine,
                                                  const storage::ImageRow& image,
                                                  const oci::ImageConfig& config) {
  std::map<std::size_t, std::string> ancestors;
  for (const storage::ImageRow& other : engine.store().list_images()) {
    if (other.id == image.id || other.layers.size() > image.layers.size() ||
        !std::equal(other.layers.begin(), other.layers.end(), image.layers.begin())) {
      continue;
    }
    const auto history = oci::parse_image_config(other.config).history;
    if (history.empty() || history.size() > config.history.size() ||
        !std::equal(history.begin(), history.end(), config.history.begin())) {
      continue;
    }
    ancestors.emplace(history.size(), other.id.str());
  }
  return ancestors;
}

std::string shown_id(const std::string& id, bool full) {
  if (full || id == "<missing>") return id;
  return id.substr(id.find(':') + 1, kShortId);
}

struct HistoryFlags {
  bool no_trunc = false, quiet = false, human = true;
  std::string format, platform;
};

nlohmann::json history_row(const Step& step, const std::string& id, const HistoryFlags& flags,
                           base::Nanoseconds now) {
  const base::Nanoseconds created = time_of(step.entry.created);
  const std::string date = base::format_rfc3339(created / 1'000'000'000 * 1'000'000'000);
  std::string command = base::printable(step.entry.created_by, kLongText);
  if (!flags.no_trunc) command = ellipsis(command, kCreatedBy);
  const std::string since = created == 0 ? "N/A" : base::human_duration(now - created) + " ago";
  return {{"ID", shown_id(id, flags.no_trunc)},
          {"CreatedSince", flags.human ? since : date},
          {"CreatedAt", date},
          {"CreatedBy", command},
          {"Size", flags.human ? base::human_size(step.size) : std::to_string(step.size)},
          {"Comment", base::printable(step.entry.comment, kLongText)}};
}

using NamesOfLayer = std::map<std::string, std::vector<std::string>>;

// For each layer's directory, which other images have it.
NamesOfLayer list_users(engine::Engine& engine, const oci::ImageId& except) {
  std::map<oci::ImageId, std::string> names;
  for (const storage::ImageName& name : engine.store().list_names()) {
    if (name.tag.empty()) continue;
    names.emplace(name.image,
                  oci::Reference::parse(name.repository).familiar_repository() + ":" + name.tag);
  }
  NamesOfLayer users;
  for (const storage::ImageRow& other : engine.store().list_images()) {
    if (other.id == except) continue;
    const auto name = names.find(other.id);
    const std::string shown =
        name == names.end() ? other.id.hex().substr(0, kShortId) : name->second;
    for (const oci::DiffId& layer : other.layers) {
      auto& list = users[layer.hex()];
      if (std::find(list.begin(), list.end(), shown) == list.end()) list.push_back(shown);
    }
  }
  return users;
}

std::string render_tree(engine::Engine& engine, const storage::ImageRow& image,
                        const std::string& title) {
  const NamesOfLayer users = list_users(engine, image.id);
  std::uint64_t unique = 0;
  std::string lines;
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    const std::string hex = image.layers[i].hex();
    const std::uint64_t size = engine.store().layer_size(image.layer_keys[i]);
    lines += (i + 1 == image.layers.size() ? "└── " : "├── ") + hex.substr(0, kShortId) + "  " +
             base::human_size(size);
    if (const auto others = users.find(hex); others != users.end()) {
      lines += "  shared with";
      for (const std::string& name : others->second) {
        lines += (&name == &others->second.front() ? " " : ", ") + name;
      }
    } else {
      unique += size;
    }
    lines += "\n";
  }
  return title + "  " + image.id.hex().substr(0, kShortId) + "  " + base::human_size(image.size) +
         " (" + base::human_size(unique) + " of its own)\n" + lines;
}

}  // namespace

int run_history(const Globals& globals, const Words& words) {
  HistoryFlags flags;
  const Words arguments = parse_arguments(
      {.command = "history",
       .synopsis = "[OPTIONS] IMAGE",
       .summary = "Show the history of an image",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"--format", "string", "Format output: \"table\", \"json\" or a Go template", &flags.format},
       {"-H,--human", "", "Print sizes and dates in human readable format (default true)",
        &flags.human},
       {"--no-trunc", "", "Don't truncate output", &flags.no_trunc},
       {"--platform", "string", "Show history for the given platform (e.g. \"linux/arm64\")",
        &flags.platform},
       {"-q,--quiet", "", "Only show image IDs", &flags.quiet}},
      words);
  Listing listing(flags.format, {"ID", "CreatedSince", "CreatedBy", "Size", "Comment"},
                  {{"ID", "IMAGE"},
                   {"CreatedSince", flags.human ? "CREATED" : "CREATED AT"},
                   {"CreatedAt", "CREATED AT"},
                   {"CreatedBy", "CREATED BY"},
                   {"Size", "SIZE"},
                   {"Comment", "COMMENT"}});
  engine::Engine engine(globals.config);
  std::optional<oci::Platform> platform;
  if (!flags.platform.empty()) platform = oci::Platform::parse(flags.platform);
  const auto image = storage::load_image_for(engine.store(), arguments[0], platform);
  const oci::ImageConfig config = oci::parse_image_config(image.config);
  const std::vector<Step> steps = list_steps(engine, image, config);
  const auto ancestors = find_ancestors(engine, image, config);
  const base::Nanoseconds now = base::now();
  for (std::size_t i = steps.size(); i-- > 0;) {
    std::string id = i + 1 == steps.size() ? image.id.str() : "<missing>";
    if (const auto known = ancestors.find(i + 1);
        known != ancestors.end() && i + 1 < steps.size()) {
      id = known->second;
    }
    if (flags.quiet) {
      print(shown_id(id, flags.no_trunc) + "\n");
    } else {
      listing.add(history_row(steps[i], id, flags, now));
    }
  }
  if (!flags.quiet) print(listing.render());
  return 0;
}

int run_image_tree(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "image tree",
                       .synopsis = "IMAGE [IMAGE...]",
                       .summary = "Show the layers of images, their sizes and who shares them",
                       .min_arguments = 1,
                       .max_arguments = kAnyNumber},
                      {}, words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    print(render_tree(engine, load_image(engine, name), name));
  });
}

int run_image_mount(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments(
      {.command = "image mount",
       .synopsis = "[IMAGE [DIRECTORY]]",
       .summary = "Mount an image's files, read-only, and print where; without an image, list what "
                  "is mounted",
       .min_arguments = 0,
       .max_arguments = 2},
      {}, words);
  engine::Engine engine(globals.config);
  if (arguments.empty()) {
    for (const storage::ImageMount& mount : engine::list_image_mounts(engine)) {
      print(mount.image.hex().substr(0, kShortId) + "  " +
            base::printable(mount.directory, kLongText) + "\n");
    }
    return 0;
  }
  std::string directory;
  if (arguments.size() > 1) {
    directory = std::filesystem::weakly_canonical(std::filesystem::absolute(arguments[1])).string();
  }
  print(engine::mount_image(engine, arguments[0], directory) + "\n");
  return 0;
}

int run_image_unmount(const Globals& globals, const Words& words) {
  bool all = false;
  const Words arguments = parse_arguments({.command = "image unmount",
                                           .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
                                           .summary = "Unmount what 'image mount' has mounted",
                                           .min_arguments = 0,
                                           .max_arguments = kAnyNumber},
                                          {{"-a,--all", "", "Unmount all images", &all}}, words);
  if (!all && arguments.empty()) {
    throw UsageError("'image unmount' requires at least 1 argument, or --all", 1);
  }
  engine::Engine engine(globals.config);
  if (all) {
    for (const storage::ImageMount& mount : engine::list_image_mounts(engine)) {
      engine::unmount(engine, mount);
    }
  }
  return for_each_argument(arguments, [&](const std::string& name) {
    engine::unmount_image(engine, name);
    print(name + "\n");
  });
}

}  // namespace cli
