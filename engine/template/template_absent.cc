#include "engine/template/template_absent.h"

#include <map>
#include <string_view>

#include <nlohmann/json.hpp>

namespace engine {
namespace {

using Fields = std::map<std::string_view, AbsentKind>;

// One of docker's types, known by a field that its documents always have.
struct DockerType {
  std::string_view always;
  Fields fields;
};

constexpr AbsentKind kText = AbsentKind::kText;
constexpr AbsentKind kFalse = AbsentKind::kFalse;
constexpr AbsentKind kZero = AbsentKind::kZero;
constexpr AbsentKind kPointer = AbsentKind::kPointer;
constexpr AbsentKind kList = AbsentKind::kList;
constexpr AbsentKind kMap = AbsentKind::kMap;

// docker's api/types and their `omitempty`.
const DockerType kTypes[] = {
    {"RestartCount",  // a container
     {{"SizeRw", kPointer},
      {"SizeRootFs", kPointer},
      {"ExecIDs", kList},
      {"ImageManifestDescriptor", kPointer}}},
    {"OOMKilled", {{"Health", kPointer}}},
    {"WorkingDir",  // the configuration of a container or an image
     {{"ArgsEscaped", kFalse},
      {"Cmd", kList},
      {"Entrypoint", kList},
      {"Env", kList},
      {"ExposedPorts", kMap},
      {"Healthcheck", kPointer},
      {"Labels", kMap},
      {"MacAddress", kText},
      {"NetworkDisabled", kFalse},
      {"OnBuild", kList},
      {"Shell", kList},
      {"StopSignal", kText},
      {"StopTimeout", kPointer},
      {"Volumes", kMap}}},
    {"CgroupnsMode",  // the host's configuration
     {{"Annotations", kMap},
      {"Binds", kList},
      {"CapAdd", kList},
      {"CapDrop", kList},
      {"Cgroup", kText},
      {"ContainerIDFile", kText},
      {"CpuCount", kZero},
      {"CpuPercent", kZero},
      {"DeviceCgroupRules", kList},
      {"DeviceRequests", kList},
      {"Devices", kList},
      {"ExtraHosts", kList},
      {"GroupAdd", kList},
      {"IOMaximumBandwidth", kZero},
      {"IOMaximumIOps", kZero},
      {"Init", kPointer},
      {"Links", kList},
      {"MemorySwappiness", kPointer},
      {"Mounts", kList},
      {"OomKillDisable", kPointer},
      {"PidsLimit", kPointer},
      {"PortBindings", kMap},
      {"SecurityOpt", kList},
      {"StorageOpt", kMap},
      {"Sysctls", kMap},
      {"Tmpfs", kMap},
      {"Ulimits", kList},
      {"VolumesFrom", kList}}},
    {"Destination",
     {{"Driver", kText},
      {"Mode", kText},
      {"Name", kText},
      {"Propagation", kText},
      {"Source", kText},
      {"Type", kText}}},
    {"Networks",  // a container's network settings
     {{"Bridge", kText},
      {"EndpointID", kText},
      {"GlobalIPv6Address", kText},
      {"GlobalIPv6PrefixLen", kZero},
      {"HairpinMode", kFalse},
      {"IPv6Gateway", kText},
      {"LinkLocalIPv6Address", kText},
      {"LinkLocalIPv6PrefixLen", kZero},
      {"SandboxID", kText},
      {"SandboxKey", kText},
      {"SecondaryIPAddresses", kList},
      {"SecondaryIPv6Addresses", kList}}},
    {"NetworkID",  // one of its networks
     {{"Aliases", kList},
      {"DNSNames", kList},
      {"DriverOpts", kMap},
      {"GlobalIPv6Address", kText},
      {"GlobalIPv6PrefixLen", kZero},
      {"GwPriority", kZero},
      {"IPAMConfig", kPointer},
      {"IPv6Gateway", kText},
      {"Links", kList}}},
    {"RootFS", {{"Container", kText}, {"OsVersion", kText}, {"Variant", kText}}},
    {"IPAM", {{"Peers", kList}, {"Services", kMap}}},
    {"Subnet", {{"AuxAddress", kMap}, {"Gateway", kText}, {"IPRange", kText}}},
    {"Mountpoint",
     {{"ClusterVolume", kPointer},
      {"CreatedAt", kText},
      {"Labels", kMap},
      {"Options", kMap},
      {"Status", kMap},
      {"UsageData", kPointer}}},
};

}  // namespace

std::optional<AbsentKind> find_absent_field(const nlohmann::json& object,
                                            const std::string& field) {
  for (const DockerType& type : kTypes) {
    const auto found = type.fields.find(field);
    if (found != type.fields.end() && object.contains(type.always)) return found->second;
  }
  return std::nullopt;
}

nlohmann::json absent_value(AbsentKind kind) {
  if (kind == AbsentKind::kText) return "";
  if (kind == AbsentKind::kFalse) return false;
  if (kind == AbsentKind::kZero) return 0;
  return nullptr;
}

std::string absent_text(AbsentKind kind) {
  if (kind == AbsentKind::kList) return "[]";
  return kind == AbsentKind::kMap ? "map[]" : "<nil>";
}

}  // namespace engine
