#include <cassert>

#include "oci/namespace_names.h"
#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

std::string_view name_of(NamespaceType wanted) {
  for (const auto& [name, type] : kNamespaceNames) {
    if (type == wanted) return name;
  }
  assert(false);
  return {};
}

void write_namespaces(JsonWriter& json, const std::vector<Namespace>& namespaces) {
  if (namespaces.empty()) return;
  json.key("namespaces").begin_array();
  for (const Namespace& entry : namespaces) {
    json.begin_object().key("type").value(name_of(entry.type));
    json.member_unless_empty("path", entry.path).end_object();
  }
  json.end_array();
}

void write_devices(JsonWriter& json, const std::vector<Device>& devices) {
  if (devices.empty()) return;
  json.key("devices").begin_array();
  for (const Device& device : devices) {
    json.begin_object().key("path").value(device.path);
    json.key("type").value(std::string_view(&device.type, 1));
    if (device.type != 'p') json.key("major").value(device.major).key("minor").value(device.minor);
    json.member("fileMode", device.file_mode).member("uid", device.uid);
    json.member("gid", device.gid).end_object();
  }
  json.end_array();
}

void write_time_offsets(JsonWriter& json, const std::map<std::string, TimeOffset>& offsets) {
  if (offsets.empty()) return;
  json.key("timeOffsets").begin_object();
  for (const auto& [clock, offset] : offsets) {
    json.key(clock).begin_object().key("secs").value(offset.seconds);
    json.key("nanosecs").value(offset.nanoseconds).end_object();
  }
  json.end_object();
}

void write_net_devices(JsonWriter& json, const std::map<std::string, std::string>& devices) {
  if (devices.empty()) return;
  json.key("netDevices").begin_object();
  for (const auto& [name, inside] : devices) {
    json.key(name).begin_object().member_unless_empty("name", inside).end_object();
  }
  json.end_object();
}

void write_intel_rdt(JsonWriter& json, const IntelRdt& rdt) {
  json.key("intelRdt")
      .begin_object()
      .member_unless_empty("closID", rdt.clos_id)
      .member_unless_empty("l3CacheSchema", rdt.l3_cache_schema)
      .member_unless_empty("memBwSchema", rdt.mem_bw_schema)
      .member_unless_empty("schemata", rdt.schemata)
      .member_if("enableCMT", rdt.enable_cmt)
      .member_if("enableMBM", rdt.enable_mbm)
      .member_if("enableMonitoring", rdt.enable_monitoring)
      .end_object();
}

void write_memory_policy(JsonWriter& json, const MemoryPolicy& policy) {
  json.key("memoryPolicy").begin_object().key("mode").value(policy.mode);
  json.member_unless_empty("nodes", policy.nodes);
  json.member_unless_empty("flags", policy.flags).end_object();
}

void write_personality(JsonWriter& json, const Personality& personality) {
  json.key("personality").begin_object().key("domain").value(personality.domain);
  json.member_unless_empty("flags", personality.flags).end_object();
}

}  // namespace

void write_mappings(JsonWriter& json, std::string_view name,
                    const std::vector<IdMapping>& mappings) {
  if (mappings.empty()) return;
  json.key(name).begin_array();
  for (const IdMapping& mapping : mappings) {
    json.begin_object().key("containerID").value(mapping.container_id);
    json.key("hostID").value(mapping.host_id).key("size").value(mapping.size).end_object();
  }
  json.end_array();
}

void write_linux(JsonWriter& json, const Linux& settings) {
  json.begin_object();
  write_namespaces(json, settings.namespaces);
  write_mappings(json, "uidMappings", settings.uid_mappings);
  write_mappings(json, "gidMappings", settings.gid_mappings);
  write_time_offsets(json, settings.time_offsets);
  write_devices(json, settings.devices);
  write_net_devices(json, settings.net_devices);
  json.member_unless_empty("cgroupsPath", settings.cgroups_path);
  if (settings.resources != Resources()) {
    json.key("resources");
    write_resources(json, settings.resources);
  }
  json.member_unless_empty("rootfsPropagation", settings.rootfs_propagation);
  if (settings.seccomp) {
    json.key("seccomp");
    write_seccomp(json, *settings.seccomp);
  }
  json.member_unless_empty("sysctl", settings.sysctl)
      .member_unless_empty("maskedPaths", settings.masked_paths)
      .member_unless_empty("readonlyPaths", settings.readonly_paths)
      .member_unless_empty("mountLabel", settings.mount_label);
  if (settings.intel_rdt) write_intel_rdt(json, *settings.intel_rdt);
  if (settings.memory_policy) write_memory_policy(json, *settings.memory_policy);
  if (settings.personality) write_personality(json, *settings.personality);
  json.end_object();
}

}  // namespace oci
