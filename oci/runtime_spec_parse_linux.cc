#include <algorithm>
#include <utility>

#include "base/text.h"
#include "oci/namespace_names.h"
#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

NamespaceType parse_namespace_type(const JsonValue& value) {
  const std::string text = value.string();
  for (const auto& [name, type] : kNamespaceNames) {
    if (name == text) return type;
  }
  value.fail("\"" + base::printable(text, 40) + "\" is not a type of namespace");
}

// A type that is named twice must be an error (config-linux.md, Namespaces).
std::vector<Namespace> parse_namespaces(const JsonValue& value) {
  std::vector<Namespace> namespaces;
  for (const JsonValue& element : value.elements()) {
    Namespace entry{.type = parse_namespace_type(element["type"]), .path = {}};
    element["path"].read(entry.path);
    if (!entry.path.empty()) entry.path = parse_absolute_path(element["path"]);
    const bool is_repeated = std::any_of(namespaces.begin(), namespaces.end(),
                                         [&](const Namespace& n) { return n.type == entry.type; });
    if (is_repeated) element.fail("the type of namespace is set twice");
    namespaces.push_back(std::move(entry));
  }
  return namespaces;
}

Device parse_device(const JsonValue& value) {
  Device device;
  device.path = parse_absolute_path(value["path"]);
  const std::string type = value["type"].string();
  if (type != "c" && type != "u" && type != "b" && type != "p") {
    value["type"].fail("\"" + base::printable(type, 40) + "\" is not c, u, b or p");
  }
  device.type = type[0];
  if (device.type != 'p') {
    device.major = value["major"].integer<std::int64_t>();
    device.minor = value["minor"].integer<std::int64_t>();
  }
  value["fileMode"].read(device.file_mode);
  value["uid"].read(device.uid);
  value["gid"].read(device.gid);
  return device;
}

std::map<std::string, TimeOffset> parse_time_offsets(const JsonValue& value) {
  std::map<std::string, TimeOffset> offsets;
  for (const auto& [clock, offset] : value.members()) {
    if (clock != "monotonic" && clock != "boottime") {
      offset.fail("no clock of a time namespace: monotonic or boottime");
    }
    TimeOffset& entry = offsets[clock];
    offset["secs"].read(entry.seconds);
    offset["nanosecs"].read(entry.nanoseconds);
  }
  return offsets;
}

std::map<std::string, std::string> parse_net_devices(const JsonValue& value) {
  std::map<std::string, std::string> devices;
  for (const auto& [name, device] : value.members()) device["name"].read(devices[name]);
  return devices;
}

IntelRdt parse_intel_rdt(const JsonValue& value) {
  IntelRdt rdt;
  value["closID"].read(rdt.clos_id);
  value["l3CacheSchema"].read(rdt.l3_cache_schema);
  value["memBwSchema"].read(rdt.mem_bw_schema);
  value["schemata"].read(rdt.schemata);
  value["enableCMT"].read(rdt.enable_cmt);
  value["enableMBM"].read(rdt.enable_mbm);
  value["enableMonitoring"].read(rdt.enable_monitoring);
  return rdt;
}

MemoryPolicy parse_memory_policy(const JsonValue& value) {
  MemoryPolicy policy;
  policy.mode = value["mode"].string();
  value["nodes"].read(policy.nodes);
  value["flags"].read(policy.flags);
  return policy;
}

Personality parse_personality(const JsonValue& value) {
  Personality personality;
  personality.domain = value["domain"].string();
  value["flags"].read(personality.flags);
  return personality;
}

}  // namespace

Linux parse_linux(const JsonValue& value) {
  Linux settings;
  settings.namespaces = parse_namespaces(value["namespaces"]);
  settings.uid_mappings = parse_mappings(value["uidMappings"]);
  settings.gid_mappings = parse_mappings(value["gidMappings"]);
  settings.time_offsets = parse_time_offsets(value["timeOffsets"]);
  settings.net_devices = parse_net_devices(value["netDevices"]);
  for (const JsonValue& device : value["devices"].elements()) {
    settings.devices.push_back(parse_device(device));
  }
  value["cgroupsPath"].read(settings.cgroups_path);
  settings.resources = parse_resources(value["resources"]);
  value["rootfsPropagation"].read(settings.rootfs_propagation);
  if (value["seccomp"].exists()) settings.seccomp = parse_seccomp(value["seccomp"]);
  value["sysctl"].read(settings.sysctl);
  value["maskedPaths"].read(settings.masked_paths);
  value["readonlyPaths"].read(settings.readonly_paths);
  value["mountLabel"].read(settings.mount_label);
  if (value["intelRdt"].exists()) settings.intel_rdt = parse_intel_rdt(value["intelRdt"]);
  if (value["memoryPolicy"].exists()) {
    settings.memory_policy = parse_memory_policy(value["memoryPolicy"]);
  }
  if (value["personality"].exists()) {
    settings.personality = parse_personality(value["personality"]);
  }
  return settings;
}

}  // namespace oci
