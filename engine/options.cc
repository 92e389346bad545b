#include "engine/options.h"

#include <cstdint>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "oci/json_tree.h"

namespace engine {
namespace {

using Json = nlohmann::json;
using oci::JsonNode;

// Every field is named once, in visit(): the writer leaves out what equals its default, the reader
// leaves alone what is missing. So old rows keep working when a field is added.
template <class Visitor>
void visit(Visitor& field, MountOption& mount) {
  field("kind", mount.kind);
  field("source", mount.source);
  field("target", mount.target);
  field("readonly", mount.readonly);
  field("noCopy", mount.no_copy);
  field("recursive", mount.recursive);
  field("propagation", mount.propagation);
  field("tmpfsOptions", mount.tmpfs_options);
  field("createSource", mount.create_source);
  field("mode", mount.mode);
  field("subpath", mount.subpath);
  field("shallowReadonly", mount.shallow_readonly);
  field("idMapped", mount.id_mapped);
  field("uidMap", mount.uid_map);
  field("gidMap", mount.gid_map);
  field("volumeLabels", mount.volume_labels);
  field("volumeOptions", mount.volume_options);
}

template <class Visitor>
void visit(Visitor& field, PortOption& port) {
  field("hostAddress", port.host_address);
  field("hostPort", port.host_port);
  field("containerPort", port.container_port);
  field("protocol", port.protocol);
  field("hostPortLast", port.host_port_last);
}

template <class Visitor>
void visit(Visitor& field, oci::Rlimit& limit) {
  field("type", limit.type);
  field("soft", limit.soft);
  field("hard", limit.hard);
}

template <class Visitor>
void visit(Visitor& field, NetworkOption& network) {
  field("name", network.name);
  field("address", network.address);
  field("address6", network.address6);
  field("mac", network.mac);
  field("aliases", network.aliases);
  field("gwPriority", network.gateway_priority);
}

template <class Visitor>
void visit(Visitor& field, oci::IdMapping& mapping) {
  field("inside", mapping.container_id);
  field("outside", mapping.host_id);
  field("size", mapping.size);
}

template <class Visitor>
void visit(Visitor& field, DeviceRate& device) {
  field("path", device.path);
  field("rate", device.rate);
}

template <class Visitor>
void visit(Visitor& field, DeviceWeight& device) {
  field("path", device.path);
  field("weight", device.weight);
}

template <class Visitor>
void visit(Visitor& field, ResourceLimits& limits) {
  field("memory", limits.memory);
  field("memorySwap", limits.memory_swap);
  field("memoryReservation", limits.memory_reservation);
  field("kernelMemory", limits.kernel_memory);
  field("memorySwappiness", limits.memory_swappiness);
  field("oomKillDisable", limits.oom_kill_disable);
  field("nanoCpus", limits.nano_cpus);
  field("cpuPeriod", limits.cpu_period);
  field("cpuQuota", limits.cpu_quota);
  field("cpuRealtimePeriod", limits.cpu_realtime_period);
  field("cpuRealtimeRuntime", limits.cpu_realtime_runtime);
  field("cpuShares", limits.cpu_shares);
  field("cpusetCpus", limits.cpuset_cpus);
  field("cpusetMems", limits.cpuset_mems);
  field("pidsLimit", limits.pids_limit);
  field("blkioWeight", limits.blkio_weight);
  field("blkioWeightDevices", limits.blkio_weight_devices);
  field("readBps", limits.read_bps);
  field("writeBps", limits.write_bps);
  field("readIops", limits.read_iops);
  field("writeIops", limits.write_iops);
}

template <class Visitor>
void visit(Visitor& field, RestartRule& rule) {
  field("policy", rule.policy);
  field("maxRetries", rule.max_retries);
}

template <class Visitor>
void visit(Visitor& field, oci::HealthCheck& check) {
  field("test", check.test);
  field("interval", check.interval);
  field("timeout", check.timeout);
  field("startPeriod", check.start_period);
  field("startInterval", check.start_interval);
  field("retries", check.retries);
}

template <class Visitor>
void visit(Visitor& field, ContainerOptions& options) {
  field("image", options.image);
  field("command", options.command);
  field("entrypoint", options.entrypoint);
  field("name", options.name);
  field("env", options.env);
  field("workingDir", options.working_dir);
  field("user", options.user);
  field("hostname", options.hostname);
  field("domainname", options.domainname);
  field("interactive", options.interactive);
  field("tty", options.tty);
  field("autoRemove", options.auto_remove);
  field("readOnly", options.read_only);
  field("privileged", options.privileged);
  field("init", options.init);
  field("ttyHeight", options.tty_height);
  field("ttyWidth", options.tty_width);
  field("mounts", options.mounts);
  field("ports", options.ports);
  field("exposedPorts", options.exposed_ports);
  field("publishAll", options.publish_all);
  field("network", options.network);
  field("networks", options.networks);
  field("networkContainer", options.network_container);
  field("links", options.links);
  field("dns", options.dns);
  field("dnsSearch", options.dns_search);
  field("dnsOptions", options.dns_options);
  field("extraHosts", options.extra_hosts);
  visit(field, options.limits);
  field("cgroupParent", options.cgroup_parent);
  field("pidMode", options.pid_mode);
  field("ipcMode", options.ipc_mode);
  field("utsMode", options.uts_mode);
  field("cgroupMode", options.cgroup_mode);
  field("userMode", options.user_mode);
  field("uidMappings", options.uid_mappings);
  field("gidMappings", options.gid_mappings);
  field("deviceRules", options.device_rules);
  field("volumesFrom", options.volumes_from);
  field("annotations", options.annotations);
  field("shmSize", options.shm_size);
  field("capAdd", options.cap_add);
  field("capDrop", options.cap_drop);
  field("securityOpt", options.security_opt);
  field("devices", options.devices);
  field("groupAdd", options.group_add);
  field("ulimits", options.ulimits);
  field("labels", options.labels);
  field("sysctls", options.sysctls);
  field("stopSignal", options.stop_signal);
  field("stopTimeout", options.stop_timeout);
  field("oomScoreAdj", options.oom_score_adj);
  field("logOptions", options.log_options);
  field("logDriver", options.log_driver);
  field("restart", options.restart);
  field("health", options.health);
  field("healthShell", options.health_shell);
  field("healthOnFailure", options.health_on_failure);
  field("platform", options.platform);
  field("pull", options.pull);
}

template <class T>
constexpr bool is_record =
    std::is_same_v<T, MountOption> || std::is_same_v<T, PortOption> ||
    std::is_same_v<T, NetworkOption> || std::is_same_v<T, oci::IdMapping> ||
    std::is_same_v<T, DeviceRate> || std::is_same_v<T, DeviceWeight> ||
    std::is_same_v<T, oci::Rlimit> || std::is_same_v<T, RestartRule> ||
    std::is_same_v<T, oci::HealthCheck> || std::is_same_v<T, ContainerOptions>;

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

template <class T>
Json to_json_value(const T& value);

// Walks a record and a default one: two visits, the first collecting what the defaults look like.
template <class Record>
Json write_record(const Record& record) {
  Record copy = record;
  Record standard{};
  Json defaults = Json::object();
  auto remember = [&](const char* name, auto& value) { defaults[name] = to_json_value(value); };
  visit(remember, standard);
  Json object = Json::object();
  auto write = [&](const char* name, auto& value) {
    Json json = to_json_value(value);
    if (json != defaults[name]) object[name] = std::move(json);
  };
  visit(write, copy);
  return object;
}

template <class T>
Json to_json_value(const T& value) {
  if constexpr (is_record<T>) {
    return write_record(value);
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<int>(value);
  } else if constexpr (IsOptional<T>::value) {
    return value ? to_json_value(*value) : Json(nullptr);
  } else if constexpr (IsVector<T>::value) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(to_json_value(item));
    return array;
  } else {
    return value;
  }
}

[[noreturn]] void throw_wrong(const JsonNode& node) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "container options: " + std::string(node.key) + ": wrong type or range");
}

void expect_type(const JsonNode& node, JsonNode::Type type) {
  if (node.type != type) throw_wrong(node);
}

template <class T>
void read_integer(const JsonNode& node, T& value) {
  const auto as_signed = static_cast<std::int64_t>(node.bits);
  if (node.type == JsonNode::Type::kUnsigned && std::in_range<T>(node.bits)) {
    value = static_cast<T>(node.bits);
  } else if (node.type == JsonNode::Type::kNegative && std::in_range<T>(as_signed)) {
    value = static_cast<T>(as_signed);
  } else {
    throw_wrong(node);
  }
}

void read_map(const JsonNode& node, std::map<std::string, std::string>& value) {
  expect_type(node, JsonNode::Type::kObject);
  value.clear();
  for (const JsonNode& member : oci::JsonChildren(node)) {
    expect_type(member, JsonNode::Type::kString);
    value.emplace_hint(value.end(), member.key, member.text);
  }
}

template <class T>
void read_value(const JsonNode& node, T& value);

template <class Record>
void read_record(const JsonNode& node, Record& record) {
  expect_type(node, JsonNode::Type::kObject);
  auto field = [&](std::string_view name, auto& target) {
    for (const JsonNode& member : oci::JsonChildren(node)) {
      if (member.key == name) return read_value(member, target);
    }
  };
  visit(field, record);
}

template <class T>
void read_value(const JsonNode& node, T& value) {
  if constexpr (is_record<T>) {
    read_record(node, value);
  } else if constexpr (std::is_enum_v<T>) {
    int number = 0;
    read_integer(node, number);
    value = static_cast<T>(number);
  } else if constexpr (IsOptional<T>::value) {
    if (node.type != JsonNode::Type::kNull) read_value(node, value.emplace());
  } else if constexpr (IsVector<T>::value) {
    expect_type(node, JsonNode::Type::kArray);
    value.clear();
    for (const JsonNode& item : oci::JsonChildren(node)) read_value(item, value.emplace_back());
  } else if constexpr (std::is_same_v<T, bool>) {
    expect_type(node, JsonNode::Type::kBoolean);
    value = node.bits != 0;
  } else if constexpr (std::is_integral_v<T>) {
    read_integer(node, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    expect_type(node, JsonNode::Type::kString);
    value = node.text;
  } else {
    read_map(node, value);
  }
}

}  // namespace

// Bytes that are not UTF-8 become U+FFFD, as docker's JSON has them.
std::string render_options(const ContainerOptions& options) {
  return write_record(options).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string render_labels(const std::map<std::string, std::string>& labels) {
  return Json(labels).dump(-1, ' ', false, Json::error_handler_t::replace);
}

ContainerOptions parse_options(std::string_view json) {
  const oci::JsonTree tree(json, {});
  ContainerOptions options;
  read_record(tree.root(), options);
  return options;
}

}  // namespace engine
