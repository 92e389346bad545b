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

std::vector<IdMapping> parse_mappings(const JsonValue& value) {
  std::vector<IdMapping> mappings;
  for (const JsonValue& element : value.elements()) {
    mappings.push_back({.container_id = element["containerID"].integer<std::uint32_t>(),
                        .host_id = element["hostID"].integer<std::uint32_t>(),
                        .size = element["size"].integer<std::uint32_t>()});
  }
  return mappings;
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

}  // namespace

Linux parse_linux(const JsonValue& value) {
  refuse_unsupported(value,
                     {"timeOffsets", "intelRdt", "memoryPolicy", "personality", "netDevices"});
  Linux settings;
  settings.namespaces = parse_namespaces(value["namespaces"]);
  settings.uid_mappings = parse_mappings(value["uidMappings"]);
  settings.gid_mappings = parse_mappings(value["gidMappings"]);
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
  return settings;
}

}  // namespace oci
