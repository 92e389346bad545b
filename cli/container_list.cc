#include "cli/container_list.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "engine/bridge_network.h"
#include "engine/container_infos.h"
#include "engine/container_sizes.h"
#include "oci/json_tree.h"
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

// docker matches "/name" and "name".
bool matches_name(const ContainerInfo& info, const Expression& wanted) {
  return wanted.matches(info.row.name) || wanted.matches("/" + info.row.name);
}

// In the order of the list, which is newest first.
bool stands_before(const storage::ContainerRow& a, const storage::ContainerRow& b) {
  return a.created != b.created ? a.created > b.created : a.id < b.id;
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

std::string label_list(const std::string& json) {
  if (json.empty() || json == "{}") return {};
  std::string list;
  const oci::JsonTree labels(json, {});
  for (const oci::JsonNode& label : oci::JsonChildren(labels.root())) {
    list += list.empty() ? "" : ",";
    list.append(label.key).append("=").append(label.text);
  }
  return list;
}

// " (healthy)", or nothing without a health check.
std::string health_note(const ContainerInfo& info) {
  if (!info.health) return "";
  const std::string word = engine::health_word(info.health->status);
  return info.health->status == engine::Health::Status::kStarting ? " (health: " + word + ")"
                                                                  : " (" + word + ")";
}

std::string health_state(const ContainerInfo& info) {
  const bool checked = info.health && engine::is_health_checked(info.options.health);
  return checked ? engine::health_word(info.health->status) : "none";
}

bool is_up(const ContainerInfo& info) {
  return info.row.status == ContainerStatus::kRunning ||
         info.row.status == ContainerStatus::kPaused ||
         info.row.status == ContainerStatus::kRestarting;
}

}  // namespace

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
    case ContainerStatus::kRestarting:
      return "restarting";
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
      return "Up " + base::human_duration(now - info.row.started) + health_note(info);
    case ContainerStatus::kPaused:
      return "Up " + base::human_duration(now - info.row.started) + " (Paused)";
    case ContainerStatus::kExited:
      return "Exited (" + std::to_string(info.row.exit_code) + ") " +
             base::human_duration(now - info.row.finished) + " ago";
    case ContainerStatus::kRestarting:
      return "Restarting (" + std::to_string(info.row.exit_code) + ") " +
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
                    std::to_string(port.container_port) + "/" +
                    engine::protocol_name(port.protocol));
  }
  std::sort(parts.begin(), parts.end());
  return joined(parts, ", ");
}

std::string container_field(const ContainerInfo& info, const std::string& name,
                            base::Nanoseconds now, Truncation truncation) {
  const bool is_short = truncation == Truncation::kShort;
  const storage::ContainerRow& row = info.row;
  if (name == "ID") return is_short ? row.id.substr(0, kShortId) : row.id;
  if (name == "Image") return row.image_name;
  if (name == "Command") {
    return "\"" + (is_short ? ellipsis(row.command, kShortCommand) : row.command) + "\"";
  }
  if (name == "CreatedAt") return go_time(row.created);
  if (name == "RunningFor") return base::human_duration(now - row.created) + " ago";
  if (name == "Ports") return is_up(info) ? published_ports(info) : "";
  if (name == "State") return container_state(info);
  if (name == "Status") return container_status(info, now);
  if (name == "Names") return row.name;
  if (name == "Labels") return label_list(row.labels);
  if (name == "Mounts") return joined(mount_names(info), ",");
  if (name == "Networks") return network_name(info);
  if (name == "LocalVolumes") {
    return std::to_string(std::count_if(
        info.options.mounts.begin(), info.options.mounts.end(),
        [](const auto& mount) { return mount.kind == engine::MountOption::Kind::kVolume; }));
  }
  return {};
}

constexpr const char* kContainerFields[] = {
    "ID",    "Image", "Command", "CreatedAt", "State",        "Status",  "RunningFor",
    "Ports", "Names", "Labels",  "Mounts",    "LocalVolumes", "Networks"};

nlohmann::json container_row(const ContainerInfo& info, base::Nanoseconds now,
                             Truncation truncation,
                             const std::function<bool(const std::string&)>& wants) {
  nlohmann::json row = nlohmann::json::object();
  for (const char* name : kContainerFields) {
    if (!wants || wants(name)) row[name] = container_field(info, name, now, truncation);
  }
  return row;
}

namespace {

// What nobody will look at is not even read: with ten thousand containers that makes most of the
// difference.
storage::ContainerTexts shown_texts(const Listing& listing) {
  using enum storage::ContainerTexts;
  const auto is_used = [&](const char* name) { return listing.uses(name); };
  static constexpr const char* kOfOptions[] = {"Mounts", "LocalVolumes", "Networks"};
  if (std::any_of(std::begin(kOfOptions), std::end(kOfOptions), is_used)) return kAll;
  return listing.uses("Labels") || listing.uses("Label") ? kLabels : kNone;
}

// A status that no container can have, or an exit code that is none, would only ever hide all.
void check_value(const std::string& key, const std::string& value) {
  static const std::set<std::string> kStates = {"created", "restarting", "running", "removing",
                                                "paused",  "exited",     "dead"};
  const bool is_number = !value.empty() && value.size() < 10 &&
                         value.find_first_not_of("0123456789") == std::string::npos;
  static const std::set<std::string> kHealth = {"starting", "healthy", "unhealthy", "none"};
  if ((key == "status" && !kStates.contains(value)) ||
      (key == "health" && !kHealth.contains(value)) || (key == "exited" && !is_number)) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "=" + value + "'");
  }
}

}  // namespace

ContainerFilters::ContainerFilters(const std::vector<std::string>& filters)
    : filters_("ps", filters) {
  for (const auto& [key, value] : filters_.all()) {
    check_value(key, value);
    if (key == "name") names_.emplace(value, value);
  }
}

storage::ContainerTexts ContainerFilters::wanted_texts() const {
  using enum storage::ContainerTexts;
  if (filters_.has("network") || filters_.has("volume") || filters_.has("health")) return kAll;
  return filters_.has("label") ? kLabels : kNone;
}

bool ContainerFilters::wants_stopped() const {
  return filters_.has("status") || filters_.has("exited");
}

bool ContainerFilters::fits(const ContainerInfo& info, const std::string& key,
                            const std::string& value) const {
  if (key == "id") return info.row.id.find(value) != std::string::npos;
  if (key == "name") return matches_name(info, names_.at(value));
  if (key == "status") return container_state(info) == value;
  if (key == "health") return health_state(info) == value;
  if (key == "ancestor") return matches_ancestor(info, value);
  if (key == "label") return matches_label_text(info.row.labels, value);
  if (key == "publish") {
    return published_ports(info).find(":" + value + "->") != std::string::npos;
  }
  if (key == "exited") {
    return info.row.status == ContainerStatus::kExited &&
           std::to_string(info.row.exit_code) == value;
  }
  if (key == "network") {
    return ("," + network_name(info) + ",").find("," + value + ",") != std::string::npos;
  }
  if (key == "volume") {
    return std::any_of(
        info.options.mounts.begin(), info.options.mounts.end(),
        [&](const auto& mount) { return mount.source == value || mount.target == value; });
  }
  return true;  // before, since: match() looks at the order
}

void ContainerFilters::find_pivots(storage::Store& store) {
  for (const auto& [key, value] : filters_.all()) {
    if (key != "before" && key != "since") continue;
    auto row = store.find_container(value);
    if (!row) throw base::Error(base::ErrorKind::kNotFound, "No such container: " + value);
    (key == "before" ? before_ : since_).push_back(std::move(*row));
  }
}

bool ContainerFilters::match(const ContainerInfo& info) const {
  const auto is_before = [&](const auto& pivot) { return stands_before(pivot, info.row); };
  const auto is_since = [&](const auto& pivot) { return stands_before(info.row, pivot); };
  return std::all_of(before_.begin(), before_.end(), is_before) &&
         std::all_of(since_.begin(), since_.end(), is_since) &&
         filters_.match([&](const std::string& key, const std::string& value) {
           return fits(info, key, value);
         });
}

int run_ps(const Globals& globals, const Words& words) {
  bool all = false;
  bool quiet = false;
  bool latest = false;
  bool no_trunc = false;
  bool size = false;
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
       {"-s,--size", "", "Display total file sizes", &size},
       {"-f,--filter", "filter", "Filter output based on conditions provided", &filter_texts},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  ContainerFilters filters(filter_texts);
  Words fields = {"ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"};
  if (size) fields.emplace_back("Size");
  size = size || format.find(".Size") != std::string::npos;
  Listing listing(format, fields,
                  {{"ID", "CONTAINER ID"},
                   {"Image", "IMAGE"},
                   {"Command", "COMMAND"},
                   {"CreatedAt", "CREATED AT"},
                   {"RunningFor", "CREATED"},
                   {"Ports", "PORTS"},
                   {"State", "STATE"},
                   {"Status", "STATUS"},
                   {"Names", "NAMES"},
                   {"Size", "SIZE"},
                   {"Labels", "LABELS"},
                   {"Mounts", "MOUNTS"},
                   {"LocalVolumes", "LOCAL VOLUMES"},
                   {"Networks", "NETWORKS"}});
  std::vector<std::string> texts(std::begin(kContainerFields), std::end(kContainerFields));
  texts.emplace_back("Size");
  listing.expect_texts(std::move(texts));
  engine::Engine engine(globals.config);
  if (latest) last = 1;
  const bool show_stopped = all || last >= 0 || filters.wants_stopped();
  filters.find_pivots(engine.store());
  const engine::InfoScope scope{
      .stopped = show_stopped || !filter_texts.empty(),
      .texts_of_stopped =
          quiet ? filters.wanted_texts() : std::max(filters.wanted_texts(), shown_texts(listing))};
  const base::Nanoseconds now = base::now();
  const Truncation truncation = no_trunc ? Truncation::kFull : Truncation::kShort;
  std::optional<engine::ContainerSizes> sizes;
  if (size && !quiet) sizes.emplace(engine.store());
  int shown = 0;
  std::string ids;
  const auto size_of = [&](const ContainerInfo& info) {
    if (!sizes) return std::string("0B");  // docker's, where nobody asks
    const engine::ContainerSize size_now = sizes->measure(info.row);
    return base::human_size(size_now.written) + " (virtual " + base::human_size(size_now.root_fs) +
           ")";
  };
  const auto show = [&](const ContainerInfo& info) {
    if ((!is_up(info) && !show_stopped) || !filters.match(info)) return true;
    if (last >= 0 && shown++ >= last) return false;
    if (quiet) {
      ids += container_field(info, "ID", now, truncation) + "\n";
      return true;
    }
    if (listing.is_simple()) {
      listing.add_fields([&](const std::string& name) {
        return name == "Size" ? size_of(info) : container_field(info, name, now, truncation);
      });
      return true;
    }
    nlohmann::json row = container_row(info, now, truncation,
                                       [&](const std::string& name) { return listing.uses(name); });
    row["Size"] = size_of(info);
    engine::Template::Methods methods;
    methods["Label"] = [&](const std::string& name) {
      const auto labels = nlohmann::json::parse(info.row.labels.empty() ? "{}" : info.row.labels);
      return labels.value(name, std::string());
    };
    listing.add(row, methods);
    return true;
  };
  engine::visit_container_infos(engine, scope, show);
  print(quiet ? ids : listing.render());
  return 0;
}

}  // namespace cli
