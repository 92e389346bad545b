#include "engine/inspect_resources.h"

#include <nlohmann/json.hpp>

#include "engine/resource_plan.h"
#include "engine/volumes.h"

namespace engine {
namespace {

using Json = nlohmann::ordered_json;

Json array_or_null(Json array) { return array.empty() ? Json(nullptr) : array; }

Json rates_of(const std::vector<DeviceRate>& rates) {
  Json list = Json::array();
  for (const DeviceRate& rate : rates) list.push_back({{"Path", rate.path}, {"Rate", rate.rate}});
  return list;
}

Json weights_of(const std::vector<DeviceWeight>& weights) {
  Json list = Json::array();
  for (const DeviceWeight& each : weights) {
    list.push_back({{"Path", each.path}, {"Weight", each.weight}});
  }
  return list;
}

Json devices_of(const std::vector<std::string>& devices) {
  Json list = Json::array();
  for (const std::string& text : devices) {
    const DeviceOption device = parse_device_option(text);
    list.push_back({{"PathOnHost", device.host},
                    {"PathInContainer", device.container},
                    {"CgroupPermissions", device.access}});
  }
  return list;
}

Json mappings_of(const std::vector<oci::IdMapping>& mappings) {
  Json list = Json::array();
  for (const oci::IdMapping& each : mappings) {
    list.push_back(std::to_string(each.container_id) + ":" + std::to_string(each.host_id) + ":" +
                   std::to_string(each.size));
  }
  return list;
}

// HostConfig.Mounts: what --mount has said.
Json mount_requests(const ContainerOptions& options) {
  Json list = Json::array();
  for (const MountOption& mount : options.mounts) {
    if (mount.create_source || mount.kind == MountOption::Kind::kTmpfs) continue;
    const bool volume = mount.kind == MountOption::Kind::kVolume;
    Json json = {
        {"Type", volume ? "volume" : "bind"}, {"Source", mount.source}, {"Target", mount.target}};
    if (mount.readonly) json["ReadOnly"] = true;
    if (!volume && !mount.propagation.empty()) {
      json["BindOptions"]["Propagation"] = mount.propagation;
    }
    if (!volume && !mount.recursive) json["BindOptions"]["NonRecursive"] = true;
    if (volume && mount.no_copy) json["VolumeOptions"]["NoCopy"] = true;
    if (volume && !mount.subpath.empty()) json["VolumeOptions"]["Subpath"] = mount.subpath;
    if (volume && !mount.volume_options.empty()) {
      json["VolumeOptions"]["DriverConfig"] = {{"Options", Json(mount.volume_options)}};
    }
    list.push_back(std::move(json));
  }
  return list;
}

Json tmpfs_of(const ContainerOptions& options) {
  Json object = Json::object();
  for (const MountOption& mount : options.mounts) {
    if (mount.kind == MountOption::Kind::kTmpfs) object[mount.target] = mount.tmpfs_options;
  }
  return object;
}

}  // namespace

void add_resources(const ContainerOptions& options, const oci::RuntimeSpec& spec, Json& config) {
  const ResourceLimits& limits = options.limits;
  config["CpuShares"] = limits.cpu_shares;
  config["Memory"] = limits.memory;
  config["NanoCpus"] = limits.nano_cpus;
  config["CgroupParent"] = options.cgroup_parent;
  config["BlkioWeight"] = limits.blkio_weight;
  config["BlkioWeightDevice"] = weights_of(limits.blkio_weight_devices);
  config["BlkioDeviceReadBps"] = rates_of(limits.read_bps);
  config["BlkioDeviceWriteBps"] = rates_of(limits.write_bps);
  config["BlkioDeviceReadIOps"] = rates_of(limits.read_iops);
  config["BlkioDeviceWriteIOps"] = rates_of(limits.write_iops);
  config["CpuPeriod"] = limits.cpu_period;
  config["CpuQuota"] = limits.cpu_quota;
  config["CpuRealtimePeriod"] = limits.cpu_realtime_period;
  config["CpuRealtimeRuntime"] = limits.cpu_realtime_runtime;
  config["CpusetCpus"] = limits.cpuset_cpus;
  config["CpusetMems"] = limits.cpuset_mems;
  config["Devices"] = devices_of(options.devices);
  config["DeviceCgroupRules"] = array_or_null(Json(options.device_rules));
  config["DeviceRequests"] = nullptr;
  config["MemoryReservation"] = limits.memory_reservation;
  config["MemorySwap"] = spec.linux_.resources.memory.swap.value_or(0);
  config["MemorySwappiness"] =
      limits.memory_swappiness ? Json(*limits.memory_swappiness) : Json(nullptr);
  config["OomKillDisable"] = limits.oom_kill_disable;
  config["PidsLimit"] = limits.pids_limit == 0 ? Json(nullptr) : Json(limits.pids_limit);
}

void add_isolation(const ContainerOptions& options, Json& config) {
  config["CgroupnsMode"] = options.cgroup_mode.empty() ? "private" : options.cgroup_mode;
  config["IpcMode"] = options.ipc_mode.empty() ? "private" : options.ipc_mode;
  config["PidMode"] = options.pid_mode;
  config["UTSMode"] = options.uts_mode;
  config["UsernsMode"] = options.user_mode;
  config["Isolation"] = "";
  config["VolumeDriver"] = "";
  config["VolumesFrom"] = nullptr;
  if (!options.uid_mappings.empty() || !options.gid_mappings.empty()) {
    config["IDMappings"] = {{"UidMap", mappings_of(options.uid_mappings)},
                            {"GidMap", mappings_of(options.gid_mappings)}};
  }
  if (!options.annotations.empty()) config["Annotations"] = Json(options.annotations);
  if (Json mounts = mount_requests(options); !mounts.empty()) config["Mounts"] = std::move(mounts);
  if (Json tmpfs = tmpfs_of(options); !tmpfs.empty()) config["Tmpfs"] = std::move(tmpfs);
}

Json describe_mounts(storage::Store& store, const ContainerOptions& options) {
  Json mounts = Json::array();
  for (const MountOption& mount : options.mounts) {
    const bool volume = mount.kind == MountOption::Kind::kVolume;
    const bool bind = mount.kind == MountOption::Kind::kBind;
    Json json = {{"Type", volume ? "volume" : bind ? "bind" : "tmpfs"}};
    if (volume) json["Name"] = mount.source;
    json["Source"] = volume ? store.volume_dir(mount.source).string() : bind ? mount.source : "";
    json["Destination"] = mount.target;
    if (volume) json["Driver"] = "local";
    json["Mode"] = !mount.mode.empty() ? mount.mode : mount.readonly ? "ro" : volume ? "z" : "";
    json["RW"] = !mount.readonly;
    json["Propagation"] = bind ? (mount.propagation.empty() ? "rprivate" : mount.propagation) : "";
    mounts.push_back(std::move(json));
  }
  return mounts;
}

}  // namespace engine
