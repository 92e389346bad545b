#include "engine/isolation.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "engine/reconcile.h"
#include "storage/store.h"

namespace engine {
namespace {

constexpr std::string_view kContainer = "container:";
constexpr std::string_view kAutoSize = "auto:size=";
constexpr char kSlots[] = ":ids";  // leases of this name are slots, not addresses

[[noreturn]] void refuse_mode(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool is_one_of(const std::string& mode, std::initializer_list<std::string_view> modes) {
  return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

bool is_container(const std::string& mode) {
  return mode.starts_with(kContainer) && mode.size() > kContainer.size();
}

// Of "auto:size=N"; 0: not a size that can be given.
std::uint32_t parse_slot_size(const std::string& mode) {
  if (!mode.starts_with(kAutoSize)) return kSlotSize;
  std::uint32_t size = 0;
  const char* const end = mode.data() + mode.size();
  const auto [last, error] = std::from_chars(mode.data() + kAutoSize.size(), end, size);
  return error == std::errc() && last == end && size <= kSlotSize ? size : 0;
}

storage::ContainerRow load_donor(storage::Store& store, const std::string& mode) {
  const std::string name = mode.substr(kContainer.size());
  auto row = store.find_container(name);
  if (!row) throw base::Error(base::ErrorKind::kNotFound, "No such container: " + name);
  return *row;
}

void resolve_mode(storage::Store& store, std::string& mode) {
  if (is_container(mode)) mode = std::string(kContainer) + load_donor(store, mode).id;
}

std::string namespace_file(storage::Store& store, const std::string& mode, const char* what,
                           const char* name) {
  if (!is_container(mode)) return {};
  const storage::ContainerRow row = load_donor(store, mode);
  if (!is_active(row.status)) {
    throw base::Error(base::ErrorKind::kConflict, std::string("cannot join ") + what +
                                                      " of a non running container: " + row.id);
  }
  return "/proc/" + std::to_string(row.init.pid) + "/ns/" + name;
}

bool parse_device_number(const std::string& text, std::optional<std::int64_t>& number) {
  if (text == "*") return true;
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  number = value;
  return !text.empty() && error == std::errc() && last == end;
}

void check_user_mode(const ContainerOptions& options) {
  if (!is_one_of(options.user_mode, {"", "host", "private", "auto"}) &&
      !(options.user_mode.starts_with(kAutoSize) && parse_slot_size(options.user_mode) > 0)) {
    refuse_mode("--userns: invalid USER mode");
  }
  if (!has_user_namespace(options)) {
    if (!options.uid_mappings.empty() || !options.gid_mappings.empty()) {
      refuse_mode("--uidmap and --gidmap need a user namespace: --userns=private");
    }
    return;
  }
  if (options.privileged) {
    refuse_mode(
        "privileged mode is incompatible with user namespaces.  You must run the container in the "
        "host namespace when running privileged mode");
  }
  if (options.network == NetworkMode::kHost) {
    refuse_mode("cannot share the host's network namespace when user namespaces are enabled");
  }
  if (options.network == NetworkMode::kContainer) {
    refuse_mode(
        "cannot share another container's network namespace when user namespaces are enabled");
  }
  if (!is_one_of(options.pid_mode, {"", "private"})) {
    refuse_mode("cannot share the host PID namespace when user namespaces are enabled");
  }
  if (!is_one_of(options.ipc_mode, {"", "private", "shareable", "none"})) {
    refuse_mode("cannot share the host's IPC namespace when user namespaces are enabled");
  }
}

}  // namespace

IdRange parse_id_range(const std::string& subuid) {
  std::istringstream lines(subuid);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kName = "containers:";
    if (!line.starts_with(kName)) continue;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    char colon = '\0';
    std::istringstream fields(line.substr(kName.size()));
    if (!(fields >> first >> colon >> count) || colon != ':' || first == 0) continue;
    if (first + count > 0xFFFFFFFFULL || count < kSlotSize) continue;
    return {.first = static_cast<std::uint32_t>(first),
            .slots = static_cast<std::uint32_t>(count / kSlotSize)};
  }
  return {};
}

bool has_user_namespace(const ContainerOptions& options) {
  return !is_one_of(options.user_mode, {"", "host"});
}

UserMappings plan_user_mappings(const ContainerOptions& options, const IdRange& range,
                                std::uint32_t slot) {
  if (!has_user_namespace(options)) return {};
  UserMappings result{.uids = options.uid_mappings, .gids = options.gid_mappings};
  if (result.uids.empty()) result.uids = result.gids;
  if (result.gids.empty()) result.gids = result.uids;
  if (result.uids.empty()) {
    result.uids = {{.container_id = 0,
                    .host_id = range.first + slot * kSlotSize,
                    .size = parse_slot_size(options.user_mode)}};
    result.gids = result.uids;
  }
  return result;
}

std::vector<oci::Namespace> plan_namespaces(const ContainerOptions& options,
                                            const JoinedNamespaces& joined) {
  using enum oci::NamespaceType;
  std::vector<oci::Namespace> namespaces = {{.type = kMount, .path = {}}};
  const auto add = [&](oci::NamespaceType type, const std::string& mode, const std::string& path) {
    if (mode != "host") namespaces.push_back({.type = type, .path = path});
  };
  add(kPid, options.pid_mode, joined.pid);
  add(kUts, options.uts_mode, {});
  add(kIpc, options.ipc_mode, joined.ipc);
  add(kCgroup, options.cgroup_mode, {});
  if (options.network != NetworkMode::kHost) {
    namespaces.push_back({.type = kNetwork, .path = joined.network});
  }
  if (has_user_namespace(options)) namespaces.push_back({.type = kUser, .path = {}});
  return namespaces;
}

oci::DeviceRule parse_device_rule(const std::string& text) {
  std::istringstream words(text);
  std::string type;
  std::string numbers;
  std::string access;
  std::string more;
  words >> type >> numbers >> access;
  const std::size_t colon = numbers.find(':');
  oci::DeviceRule rule{.allow = true, .access = access};
  const bool good = is_one_of(type, {"a", "b", "c"}) && colon != std::string::npos &&
                    parse_device_number(numbers.substr(0, colon), rule.major) &&
                    parse_device_number(numbers.substr(colon + 1), rule.minor) && !access.empty() &&
                    access.size() <= 3 && access.find_first_not_of("rwm") == std::string::npos &&
                    !(words >> more);
  if (!good) refuse_mode("invalid device cgroup rule format: '" + text + "'");
  if (colon != std::string::npos && numbers.substr(0, colon) == "*") rule.major.reset();
  if (numbers.substr(colon + 1) == "*") rule.minor.reset();
  rule.type = type[0];
  return rule;
}

void check_isolation(const ContainerOptions& options) {
  if (!is_one_of(options.pid_mode, {"", "host", "private"}) && !is_container(options.pid_mode)) {
    refuse_mode("--pid: invalid PID mode");
  }
  if (!is_one_of(options.uts_mode, {"", "host", "private"})) {
    refuse_mode("--uts: invalid UTS mode");
  }
  if (!is_one_of(options.cgroup_mode, {"", "host", "private"})) {
    refuse_mode("--cgroupns: invalid CGROUP mode");
  }
  if (!is_one_of(options.ipc_mode, {"", "none", "private", "shareable", "host"}) &&
      !is_container(options.ipc_mode)) {
    refuse_mode("invalid IPC mode: " + options.ipc_mode);
  }
  if (options.uts_mode == "host" && !options.hostname.empty()) {
    refuse_mode("conflicting options: hostname and the UTS mode");
  }
  if (options.uts_mode == "host" && !options.domainname.empty()) {
    refuse_mode("conflicting options: domainname and the UTS mode");
  }
  if (options.cgroup_parent.find("..") != std::string::npos) {
    refuse_mode("invalid cgroup parent: " + options.cgroup_parent);
  }
  check_user_mode(options);
  for (const std::string& rule : options.device_rules) parse_device_rule(rule);
}

void resolve_shared_namespaces(storage::Store& store, ContainerOptions& options) {
  resolve_mode(store, options.pid_mode);
  resolve_mode(store, options.ipc_mode);
  if (!is_container(options.ipc_mode)) return;
  const storage::ContainerRow donor = load_donor(store, options.ipc_mode);
  if (parse_options(donor.options).ipc_mode == "shareable") return;
  throw base::Error(
      base::ErrorKind::kConflict,
      "container " + donor.id +
          ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
}

JoinedNamespaces find_joined(storage::Store& store, const ContainerOptions& options) {
  return {.pid = namespace_file(store, options.pid_mode, "PID", "pid"),
          .ipc = namespace_file(store, options.ipc_mode, "IPC", "ipc"),
          .mounts = namespace_file(store, options.ipc_mode, "IPC", "mnt")};
}

UserMappings take_user_mappings(storage::Store& store, const std::string& id,
                                const ContainerOptions& options, SlotUse use) {
  if (!has_user_namespace(options)) return {};
  const IdRange range = parse_id_range(base::find_file("/etc/subuid", 1U << 20U).value_or(""));
  const bool needs_slot = options.uid_mappings.empty() && options.gid_mappings.empty();
  if (!needs_slot || use == SlotUse::kExample) return plan_user_mappings(options, range, 0);
  // Leases start at 1, slots at 0.
  auto lease = store.find_lease(id, kSlots);
  if (!lease) {
    lease = store.lease_address(
        id, {.network = kSlots, .first = 1, .last = range.slots - 1, .wanted = std::nullopt});
  }
  if (!lease) {
    throw base::Error(base::ErrorKind::kUnavailable, "no range of user ids is free");
  }
  return plan_user_mappings(options, range, *lease - 1);
}

}  // namespace engine
