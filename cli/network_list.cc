// network ls and network inspect.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/command.h"
#include "cli/documents.h"
#include "cli/filters.h"
#include "cli/listing.h"
#include "engine/networks.h"
#include "engine/template/template.h"

namespace cli {
namespace {

constexpr std::size_t kShortNetworkId = 12;

bool has_network_label(const engine::NetworkInfo& info, const std::string& wanted) {
  const auto labels = nlohmann::json::parse(info.row.labels, nullptr, false);
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || *found == wanted.substr(equals + 1));
}

bool is_custom(const engine::NetworkInfo& info) {
  return info.row.name != "bridge" && info.row.name != "host" && info.row.name != "none";
}

bool fits_filter(const engine::NetworkInfo& info, const std::string& key, const std::string& value,
                 const std::vector<std::string>& dangling) {
  if (key == "name") return matches_expression(info.row.name, value);
  if (key == "id") return matches_expression(info.row.id, value);
  if (key == "driver") return info.row.driver == value;
  if (key == "scope") return value == "local";
  if (key == "type" && (value == "custom" || value == "builtin")) {
    return is_custom(info) == (value == "custom");
  }
  if (key == "label") return has_network_label(info, value);
  if (key == "dangling") {
    const bool is_dangling =
        std::find(dangling.begin(), dangling.end(), info.row.name) != dangling.end();
    return is_dangling == (value == "true" || value == "1");
  }
  throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "=" + value + "'");
}

// Values of one key are alternatives, different keys must all hold; labels must all hold.
bool fits_filters(const engine::NetworkInfo& info, const Words& filters,
                  const std::vector<std::string>& dangling) {
  std::map<std::string, bool> by_key;
  for (const std::string& filter : filters) {
    const std::size_t equals = filter.find('=');
    if (equals == std::string::npos) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "bad format of filter (expected name=value): " + filter);
    }
    const std::string key = filter.substr(0, equals);
    const bool fits = fits_filter(info, key, filter.substr(equals + 1), dangling);
    const auto [entry, is_new] = by_key.emplace(key, fits);
    if (!is_new) entry->second = key == "label" ? entry->second && fits : entry->second || fits;
  }
  return std::all_of(by_key.begin(), by_key.end(), [](const auto& entry) { return entry.second; });
}

std::vector<std::string> dangling_networks(engine::Engine& engine,
                                           const std::vector<engine::NetworkInfo>& networks) {
  std::vector<std::string> names;
  for (const engine::NetworkInfo& info : networks) {
    if (is_custom(info)) names.push_back(info.row.name);
  }
  for (const engine::ContainerInfo& container : engine.list_containers()) {
    for (const auto& attachment : container.network.attachments) {
      std::erase(names, attachment.network);
    }
    for (const auto& option : container.options.networks) std::erase(names, option.name);
  }
  return names;
}

nlohmann::json network_row(const engine::NetworkInfo& info, bool no_trunc) {
  std::string labels;
  const auto label_map = nlohmann::json::parse(info.row.labels, nullptr, false);
  for (const auto& [key, value] : label_map.items()) {
    labels += (labels.empty() ? "" : ",") + key + "=" + value.get<std::string>();
  }
  return {{"ID", no_trunc ? info.row.id : info.row.id.substr(0, kShortNetworkId)},
          {"Name", info.row.name},
          {"Driver", info.row.driver},
          {"Scope", "local"},
          {"IPv4", "true"},
          {"IPv6", info.settings.link.subnet6 ? "true" : "false"},
          {"Internal", info.settings.link.internal ? "true" : "false"},
          {"Labels", labels},
          {"CreatedAt", base::format_rfc3339(info.row.created)}};
}

}  // namespace

int run_network_ls(const Globals& globals, const Words& words) {
  bool quiet = false;
  bool no_trunc = false;
  std::string format;
  Words filters;
  parse_arguments(
      {.command = "network ls", .synopsis = "[OPTIONS]", .summary = "List networks"},
      {{"-q,--quiet", "", "Only display network IDs", &quiet},
       {"--no-trunc", "", "Do not truncate the output", &no_trunc},
       {"-f,--filter", "filter", "Provide filter values (e.g. \"driver=bridge\")", &filters},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  Listing listing(format, {"ID", "Name", "Driver", "Scope"},
                  {{"ID", "NETWORK ID"},
                   {"Name", "NAME"},
                   {"Driver", "DRIVER"},
                   {"Scope", "SCOPE"},
                   {"IPv4", "IPV4"},
                   {"IPv6", "IPV6"},
                   {"Internal", "INTERNAL"},
                   {"Labels", "LABELS"},
                   {"CreatedAt", "CREATED AT"}});
  engine::Engine engine(globals.config);
  const std::vector<engine::NetworkInfo> networks = engine::list_networks(engine);
  const bool asks_dangling = std::any_of(filters.begin(), filters.end(), [](const auto& filter) {
    return filter.starts_with("dangling=");
  });
  const std::vector<std::string> dangling =
      asks_dangling ? dangling_networks(engine, networks) : std::vector<std::string>();
  for (const engine::NetworkInfo& info : networks) {
    if (!fits_filters(info, filters, dangling)) continue;
    const nlohmann::json row = network_row(info, no_trunc);
    if (quiet) {
      print(row["ID"].get<std::string>() + "\n");
      continue;
    }
    engine::Template::Methods methods;
    methods["Label"] = [&](const std::string& name) {
      const auto labels = nlohmann::json::parse(info.row.labels, nullptr, false);
      return labels.value(name, std::string());
    };
    listing.add(row, methods);
  }
  if (!quiet) print(listing.render());
  return 0;
}

int run_network_inspect(const Globals& globals, const Words& words) {
  std::string format;
  std::string scope;
  bool verbose = false;
  const Words arguments = parse_arguments(
      {.command = "network inspect",
       .synopsis = "[OPTIONS] NETWORK [NETWORK...]",
       .summary = "Display detailed information on one or more networks",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--format", "string", "Format output using a Go template, or \"json\"", &format},
       {"--scope", "string", "Accepted for docker's sake", &scope},
       {"-v,--verbose", "", "Accepted for docker's sake", &verbose}},
      words);
  Documents documents(format);
  engine::Engine engine(globals.config);
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    documents.add(engine::inspect_network(engine::load_network(engine, name)));
  });
  documents.finish();
  return code;
}

}  // namespace cli
