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

}  // namespace

void write_linux(JsonWriter& json, const Linux& settings) {
  json.begin_object();
  write_namespaces(json, settings.namespaces);
  write_mappings(json, "uidMappings", settings.uid_mappings);
  write_mappings(json, "gidMappings", settings.gid_mappings);
  write_devices(json, settings.devices);
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
      .member_unless_empty("mountLabel", settings.mount_label)
      .end_object();
}

}  // namespace oci
