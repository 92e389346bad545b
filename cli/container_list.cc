#include "cli/container_list.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "oci/reference.h"

namespace cli {
namespace {

using engine::ContainerInfo;
using storage::ContainerStatus;

constexpr std::size_t kShortId = 12;
constexpr std::size_t kShortCommand = 20;

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

std::string network_name(const ContainerInfo& info) {
  switch (info.options.network) {
    case engine::NetworkMode::kNone:
      return "none";
    case engine::NetworkMode::kHost:
      return "host";
    case engine::NetworkMode::kContainer:
      return "container:" + info.options.network_container;
    case engine::NetworkMode::kBridge:
      break;
  }
  std::string names;
  for (const engine::NetworkOption& option : info.options.networks) {
    names += (names.empty() ? "" : ",") + option.name;
  }
  return names.empty() ? "bridge" : names;
}

std::vector<std::string> mount_names(const ContainerInfo& info) {
  std::vector<std::string> names;
  for (const auto& mount : info.options.mounts) {
    if (mount.kind != engine::MountOption::Kind::kTmpfs) names.push_back(mount.source);
  }
  return names;
}

std::string go_time(base::Nanoseconds time) {
  // "2026-11-21 22:09:09 +0000 UTC"
  std::string text = base::format_rfc3339(time / 1'000'000'000 * 1'000'000'000);
  std::replace(text.begin(), text.end(), 'T', ' ');
  if (!text.empty() && text.back() == 'Z') text.pop_back();
  return text + " +0000 UTC";
}

bool matches_name(const ContainerInfo& info, const std::string& pattern) {
  // docker matches "/name" and "name" against a regular expression.
  try {
    const std::regex expression(pattern);
    return std::regex_search(info.row.name, expression) ||
           std::regex_search("/" + info.row.name, expression);
  } catch (const std::regex_error&) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid filter 'name=" + pattern + "'");
  }
}

bool matches_label(const ContainerInfo& info, const std::string& wanted) {
  const auto labels = nlohmann::json::parse(info.row.labels, nullptr, false);
  if (!labels.is_object()) return false;
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || *found == wanted.substr(equals + 1));
}

bool matches_ancestor(const ContainerInfo& info, const std::string& wanted) {
  const std::string id = info.row.image.str();
  if (id == wanted || info.row.image.hex().rfind(wanted, 0) == 0 || info.row.image_name == wanted)
    return true;
  try {
    return oci::Reference::parse(info.row.image_name) == oci::Reference::parse(wanted);
  } catch (const base::Error&) {
    return false;
  }
}

}  // namespace

std::string protocol_name(network::Protocol protocol) {
  switch (protocol) {
    case network::Protocol::kUdp:
      return "udp";
    case network::Protocol::kSctp:
      return "sctp";
    case network::Protocol::kTcp:
      break;
  }
  return "tcp";
}

std::string container_state(const ContainerInfo& info) {
  switch (info.row.status) {
    case ContainerStatus::kCreated:
      return "created";
    case ContainerStatus::kRunning:
      return "running";
    case ContainerStatus::kPaused:
      return "paused";
    case ContainerStatus::kExited:
      return "exited";
    case ContainerStatus::kRemoving:
      return "removing";
    case ContainerStatus::kDead:
      break;
  }
  return "dead";
}

std::string container_status(const ContainerInfo& info, base::Nanoseconds now) {
  switch (info.row.status) {
    case ContainerStatus::kCreated:
      return "Created";
    case ContainerStatus::kRunning:
      return "Up " + base::human_duration(now - info.row.started);
    case ContainerStatus::kPaused:
      return "Up " + base::human_duration(now - info.row.started) + " (Paused)";
    case ContainerStatus::kExited:
      return "Exited (" + std::to_string(info.row.exit_code) + ") " +
             base::human_duration(now - info.row.finished) + " ago";
    case ContainerStatus::kRemoving:
      return "Removal In Progress";
    case ContainerStatus::kDead:
      break;
  }
  return "Dead";
}

std::string published_ports(const ContainerInfo& info) {
  std::vector<std::string> parts;
  for (const auto& port : info.ports) {
    parts.push_back(port.host_address.with_port(port.host_port) + "->" +
                    std::to_string(port.container_port) + "/" + protocol_name(port.protocol));
  }
  std::sort(parts.begin(), parts.end());
  return joined(parts, ", ");
}

nlohmann::json container_row(const ContainerInfo& info, base::Nanoseconds now,
                             Truncation truncation) {
  const bool is_short = truncation == Truncation::kShort;
  const std::string command = "\"" + info.row.command + "\"";
  std::vector<std::string> labels;
  const auto label_map = nlohmann::json::parse(info.row.labels.empty() ? "{}" : info.row.labels);
  for (const auto& [key, value] : label_map.items())
    labels.push_back(key + "=" + value.get<std::string>());
  const bool is_up =
      info.row.status == ContainerStatus::kRunning || info.row.status == ContainerStatus::kPaused;
  const auto mounts = mount_names(info);
  return {
      {"ID", is_short ? info.row.id.substr(0, kShortId) : info.row.id},
      {"Image", info.row.image_name},
      {"Command", is_short ? "\"" + ellipsis(info.row.command, kShortCommand) + "\"" : command},
      {"CreatedAt", go_time(info.row.created)},
      {"RunningFor", base::human_duration(now - info.row.created) + " ago"},
      {"Ports", is_up ? published_ports(info) : ""},
      {"State", container_state(info)},
      {"Status", container_status(info, now)},
      {"Names", info.row.name},
      {"Labels", joined(labels, ",")},
      {"Mounts", joined(mounts, ",")},
      {"LocalVolumes",
       std::to_string(std::count_if(
           info.options.mounts.begin(), info.options.mounts.end(),
           [](const auto& mount) { return mount.kind == engine::MountOption::Kind::kVolume; }))},
      {"Networks", network_name(info)},
  };
}

namespace {

// A status that no container can have, or an exit code that is none, would only ever hide all.
void check_value(const std::string& key, const std::string& value) {
  static const std::set<std::string> kStates = {"created", "restarting", "running", "removing",
                                                "paused",  "exited",     "dead"};
  const bool is_number = !value.empty() && value.size() < 10 &&
                         value.find_first_not_of("0123456789") == std::string::npos;
  if ((key == "status" && !kStates.contains(value)) || (key == "exited" && !is_number)) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "=" + value + "'");
  }
}

}  // namespace

ContainerFilters::ContainerFilters(const std::vector<std::string>& filters) {
  static const std::string_view kKnown[] = {"id",      "name",     "label",  "status",
                                            "exited",  "ancestor", "before", "since",
                                            "network", "publish",  "volume"};
  for (const std::string& filter : filters) {
    const std::size_t equals = filter.find('=');
    if (equals == std::string::npos) {
      throw UsageError("invalid argument \"" + filter +
                           "\" for \"-f, --filter\" flag: bad format of filter (expected "
                           "name=value)\nSee 'sampan ps --help'.",
                       kEngineFailed);
    }
    const std::string key = filter.substr(0, equals);
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown)) {
      throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "'");
    }
    check_value(key, filter.substr(equals + 1));
    filters_.emplace_back(key, filter.substr(equals + 1));
  }
}

bool ContainerFilters::wants_stopped() const {
  return std::any_of(filters_.begin(), filters_.end(), [](const auto& filter) {
    return filter.first == "status" || filter.first == "exited";
  });
}

bool ContainerFilters::matches(const ContainerInfo& info) const {
  // Values of one key are alternatives, different keys must all hold; labels must all hold
  // (docker's rules).
  std::map<std::string, bool> by_key;
  for (const auto& [key, value] : filters_) {
    bool fits = false;
    if (key == "id") fits = info.row.id.find(value) != std::string::npos;
    if (key == "name") fits = matches_name(info, value);
    if (key == "status") fits = container_state(info) == value;
    if (key == "exited")
      fits = info.row.status == ContainerStatus::kExited &&
             std::to_string(info.row.exit_code) == value;
    if (key == "ancestor") fits = matches_ancestor(info, value);
    if (key == "network")
      fits = ("," + network_name(info) + ",").find("," + value + ",") != std::string::npos;
    if (key == "publish")
      fits = published_ports(info).find(":" + value + "->") != std::string::npos;
    if (key == "volume") {
      fits = std::any_of(info.options.mounts.begin(), info.options.mounts.end(),
                         [&wanted = value](const auto& mount) {
                           return mount.source == wanted || mount.target == wanted;
                         });
    }
    if (key == "before" || key == "since") fits = true;  // apply() looks at the order
    if (key == "label") {
      if (!matches_label(info, value)) return false;
      fits = true;
    }
    by_key[key] = by_key[key] || fits;
  }
  return std::all_of(by_key.begin(), by_key.end(), [](const auto& entry) { return entry.second; });
}

std::vector<ContainerInfo> ContainerFilters::apply(std::vector<ContainerInfo> containers) const {
  for (const auto& [key, value] : filters_) {
    if (key != "before" && key != "since") continue;
    const auto pivot = std::find_if(
        containers.begin(), containers.end(), [&wanted = value](const ContainerInfo& info) {
          return info.row.name == wanted || info.row.id.rfind(wanted, 0) == 0;
        });
    if (pivot == containers.end())
      throw base::Error(base::ErrorKind::kNotFound, "No such container: " + value);
    if (key == "before") {
      containers.erase(containers.begin(), pivot + 1);  // newest first
    } else {
      containers.erase(pivot, containers.end());
    }
  }
  containers.erase(std::remove_if(containers.begin(), containers.end(),
                                  [&](const ContainerInfo& info) { return !matches(info); }),
                   containers.end());
  return containers;
}

int run_ps(const Globals& globals, const Words& words) {
  bool all = false;
  bool quiet = false;
  bool latest = false;
  bool no_trunc = false;
  int last = -1;
  std::string format;
  std::vector<std::string> filter_texts;
  parse_arguments(
      {.command = "ps", .synopsis = "[OPTIONS]", .summary = "List containers"},
      {{"-a,--all", "", "Show all containers (default shows just running)", &all},
       {"-q,--quiet", "", "Only display container IDs", &quiet},
       {"-l,--latest", "", "Show the latest created container (includes all states)", &latest},
       {"-n,--last", "int", "Show n last created containers (includes all states)", &last},
       {"--no-trunc", "", "Don't truncate output", &no_trunc},
       {"-f,--filter", "filter", "Filter output based on conditions provided", &filter_texts},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  const ContainerFilters filters(filter_texts);
  Listing listing(format, {"ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"},
                  {{"ID", "CONTAINER ID"},
                   {"Image", "IMAGE"},
                   {"Command", "COMMAND"},
                   {"CreatedAt", "CREATED AT"},
                   {"RunningFor", "CREATED"},
                   {"Ports", "PORTS"},
                   {"State", "STATE"},
                   {"Status", "STATUS"},
                   {"Names", "NAMES"},
                   {"Labels", "LABELS"},
                   {"Mounts", "MOUNTS"},
                   {"LocalVolumes", "LOCAL VOLUMES"},
                   {"Networks", "NETWORKS"}});
  engine::Engine engine(globals.config);
  if (latest) last = 1;
  const bool show_stopped = all || last >= 0 || filters.wants_stopped();
  std::vector<ContainerInfo> containers = filters.apply(engine.list_containers());
  const base::Nanoseconds now = base::now();
  int shown = 0;
  for (const ContainerInfo& info : containers) {
    const bool is_up =
        info.row.status == ContainerStatus::kRunning || info.row.status == ContainerStatus::kPaused;
    if (!is_up && !show_stopped) continue;
    if (last >= 0 && shown++ >= last) break;
    const nlohmann::json row =
        container_row(info, now, no_trunc ? Truncation::kFull : Truncation::kShort);
    if (quiet) {
      print(row["ID"].get<std::string>() + "\n");
      continue;
    }
    Template::Methods methods;
    methods["Label"] = [&](const std::string& name) {
      const auto labels = nlohmann::json::parse(info.row.labels.empty() ? "{}" : info.row.labels);
      return labels.value(name, std::string());
    };
    listing.add(row, methods);
  }
  if (!quiet) print(listing.render());
  return 0;
}

}  // namespace cli
