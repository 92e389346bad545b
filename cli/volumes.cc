// volume create, ls, inspect and rm; `volume prune` is with the other prunes.
#include "engine/volumes.h"

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/documents.h"
#include "cli/filters.h"
#include "cli/listing.h"
#include "engine/template/template.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;
using Texts = std::map<std::string, std::string>;

// docker's, on volumes that nobody has named.
constexpr char kAnonymousLabel[] = "com.docker.volume.anonymous";

Texts texts_of(const Words& words) {
  Texts pairs;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    pairs[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  return pairs;
}

Texts volume_labels(const storage::VolumeRow& row) {
  Texts labels = engine::parse_texts(row.labels);
  if (row.anonymous) labels.try_emplace(kAnonymousLabel, "");
  return labels;
}

std::string joined_labels(const Texts& labels) {
  std::string text;
  for (const auto& [key, value] : labels) text += (text.empty() ? "" : ",") + key + "=" + value;
  return text;
}

struct VolumeFilter {
  std::vector<std::string> names, labels;
  std::set<std::string> drivers;
  std::optional<bool> dangling;
};

VolumeFilter parse_volume_filter(const Words& texts) {
  VolumeFilter filter;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "invalid argument \"" + text +
                            "\" for \"-f, --filter\" flag: bad format of filter (expected "
                            "name=value)");
    }
    const std::string key = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    if (key == "name") {
      filter.names.push_back(value);
    } else if (key == "label") {
      filter.labels.push_back(value);
    } else if (key == "driver") {
      filter.drivers.insert(value);
    } else if (key == "dangling" &&
               (value == "true" || value == "1" || value == "false" || value == "0")) {
      filter.dangling = value == "true" || value == "1";
    } else if (key == "dangling") {
      throw base::Error(base::ErrorKind::kInvalid, "invalid filter 'dangling=[" + value + "]'");
    } else {
      throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "'");
    }
  }
  return filter;
}

bool has_volume_label(const Texts& labels, const std::string& wanted) {
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

bool matches_volume(const VolumeFilter& filter, const storage::VolumeRow& row,
                    storage::Store& store) {
  const auto in_name = [&](const std::string& wanted) {
    return matches_expression(row.name, wanted);
  };
  if (!filter.names.empty() && std::none_of(filter.names.begin(), filter.names.end(), in_name)) {
    return false;
  }
  if (!filter.drivers.empty() && !filter.drivers.contains("local")) return false;
  const Texts labels = volume_labels(row);
  const auto labelled = [&](const std::string& wanted) { return has_volume_label(labels, wanted); };
  if (!std::all_of(filter.labels.begin(), filter.labels.end(), labelled)) return false;
  return !filter.dangling || store.find_volume_users(row.name).empty() == *filter.dangling;
}

std::string created_text(const storage::VolumeRow& row) {
  return base::format_rfc3339(row.created / 1'000'000'000 * 1'000'000'000);  // docker's: seconds
}

Json describe_volume(const storage::VolumeRow& row, const storage::Store& store) {
  const Texts labels = volume_labels(row);
  const Texts options = engine::parse_texts(row.options);
  return {{"CreatedAt", created_text(row)},
          {"Driver", "local"},
          {"Labels", labels.empty() ? Json(nullptr) : Json(labels)},
          {"Mountpoint", store.volume_dir(row.name).string()},
          {"Name", row.name},
          {"Options", options.empty() ? Json(nullptr) : Json(options)},
          {"Scope", "local"}};
}

storage::VolumeRow load_volume(storage::Store& store, const std::string& name) {
  auto row = store.find_volume(name);
  if (!row) throw base::Error(base::ErrorKind::kNotFound, "get " + name + ": no such volume");
  return *row;
}

}  // namespace

int run_volume_create(const Globals& globals, const Words& words) {
  engine::VolumeRequest request;
  Words labels;
  Words options;
  std::string name;
  const Words arguments = parse_arguments(
      {.command = "volume create",
       .synopsis = "[OPTIONS] [VOLUME]",
       .summary = "Create a volume",
       .min_arguments = 0,
       .max_arguments = 1},
      {{"-d,--driver", "string", "Specify volume driver name (default \"local\")", &request.driver},
       {"--label", "list", "Set metadata for a volume", &labels},
       {"--name", "string", "Specify volume name", &name},
       {"-o,--opt", "map", "Set driver specific options (\"type\", \"device\", \"o\")", &options}},
      words);
  if (!name.empty() && !arguments.empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "conflicting options: cannot specify a volume-name through both --name and "
                      "as a positional arg");
  }
  request.name = arguments.empty() ? name : arguments[0];
  request.labels = texts_of(labels);
  request.options = texts_of(options);
  engine::Engine engine(globals.config);
  print(engine::create_volume(engine.store(), request).name + "\n");
  return 0;
}

int run_volume_ls(const Globals& globals, const Words& words) {
  bool quiet = false;
  std::string format;
  Words filters;
  parse_arguments(
      {.command = "volume ls", .synopsis = "[OPTIONS]", .summary = "List volumes"},
      {{"-f,--filter", "filter", "Provide filter values (e.g. \"dangling=true\")", &filters},
       {"--format", "string", "Format output: table, json, \"table TEMPLATE\" or a Go template",
        &format},
       {"-q,--quiet", "", "Only display volume names", &quiet}},
      words);
  const VolumeFilter filter = parse_volume_filter(filters);
  engine::Engine engine(globals.config);
  storage::Store& store = engine.store();
  Listing listing(quiet && format.empty() ? "{{.Name}}" : format, {"Driver", "Name"},
                  {{"Availability", "AVAILABILITY"},
                   {"Driver", "DRIVER"},
                   {"Group", "GROUP"},
                   {"Labels", "LABELS"},
                   {"Links", "LINKS"},
                   {"Mountpoint", "MOUNTPOINT"},
                   {"Name", "VOLUME NAME"},
                   {"Scope", "SCOPE"},
                   {"Size", "SIZE"},
                   {"Status", "STATUS"}});
  for (const storage::VolumeRow& row : store.list_volumes()) {
    if (!matches_volume(filter, row, store)) continue;
    const Texts labels = volume_labels(row);
    engine::Template::Methods methods;
    methods["Label"] = [labels](const std::string& key) {
      const auto found = labels.find(key);
      return found == labels.end() ? std::string() : found->second;
    };
    listing.add({{"Availability", "N/A"},
                 {"Driver", "local"},
                 {"Group", "N/A"},
                 {"Labels", joined_labels(labels)},
                 {"Links", "N/A"},
                 {"Mountpoint", store.volume_dir(row.name).string()},
                 {"Name", row.name},
                 {"Scope", "local"},
                 {"Size", "N/A"},
                 {"Status", "N/A"}},
                methods);
  }
  print(listing.render());
  return 0;
}

int run_volume_inspect(const Globals& globals, const Words& words) {
  std::string format;
  bool all = false;
  // podman's --all needs no name.
  const bool says_all = std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word == "-a" || word == "--all";
  });
  Words arguments = parse_arguments(
      {.command = "volume inspect",
       .synopsis = "[OPTIONS] VOLUME [VOLUME...]",
       .summary = "Display detailed information on one or more volumes",
       .min_arguments = says_all ? 0U : 1U,
       .max_arguments = kAnyNumber},
      {{"-a,--all", "", "Display all volumes", &all},
       {"-f,--format", "string", "Format output using a Go template, or \"json\"", &format}},
      words);
  Documents documents(format);
  engine::Engine engine(globals.config);
  if (all) {
    arguments.clear();
    for (const storage::VolumeRow& row : engine.store().list_volumes()) {
      arguments.push_back(row.name);
    }
  }
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    documents.add(describe_volume(load_volume(engine.store(), name), engine.store()).dump());
  });
  documents.finish();
  return code;
}

int run_volume_rm(const Globals& globals, const Words& words) {
  bool force = false;
  const Words arguments = parse_arguments(
      {.command = "volume rm",
       .synopsis = "[OPTIONS] VOLUME [VOLUME...]",
       .summary = "Remove one or more volumes that no container uses",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--force", "", "Force the removal of one or more volumes", &force}}, words);
  engine::Engine engine(globals.config);
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    if (!force || engine.store().find_volume(name)) engine.store().remove_volume(name);
    print(name + "\n");
  });
  engine::start_janitor(globals.config);
  return code;
}

}  // namespace cli
