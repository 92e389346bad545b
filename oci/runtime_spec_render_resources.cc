#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

void write_device_rules(JsonWriter& json, const std::vector<DeviceRule>& rules) {
  if (rules.empty()) return;
  json.key("devices").begin_array();
  for (const DeviceRule& rule : rules) {
    json.begin_object().key("allow").value(rule.allow);
    if (rule.type != 'a') json.key("type").value(std::string_view(&rule.type, 1));
    json.member("major", rule.major).member("minor", rule.minor);
    json.key("access").value(rule.access).end_object();
  }
  json.end_array();
}

void write_memory(JsonWriter& json, const Resources::Memory& memory) {
  if (memory == Resources::Memory()) return;
  json.key("memory")
      .begin_object()
      .member("limit", memory.limit)
      .member("reservation", memory.reservation)
      .member("swap", memory.swap)
      .member("kernel", memory.kernel)
      .member("kernelTCP", memory.kernel_tcp)
      .member("swappiness", memory.swappiness)
      .member("disableOOMKiller", memory.disable_oom_killer)
      .member("useHierarchy", memory.use_hierarchy)
      .member("checkBeforeUpdate", memory.check_before_update)
      .end_object();
}

void write_cpu(JsonWriter& json, const Resources::Cpu& cpu) {
  if (cpu == Resources::Cpu()) return;
  json.key("cpu")
      .begin_object()
      .member("shares", cpu.shares)
      .member("quota", cpu.quota)
      .member("period", cpu.period)
      .member("burst", cpu.burst)
      .member("realtimeRuntime", cpu.realtime_runtime)
      .member("realtimePeriod", cpu.realtime_period)
      .member("idle", cpu.idle)
      .member_unless_empty("cpus", cpu.cpus)
      .member_unless_empty("mems", cpu.mems)
      .end_object();
}

void write_weight_devices(JsonWriter& json, const std::vector<WeightDevice>& devices) {
  if (devices.empty()) return;
  json.key("weightDevice").begin_array();
  for (const WeightDevice& device : devices) {
    json.begin_object().key("major").value(device.major).key("minor").value(device.minor);
    json.member("weight", device.weight).member("leafWeight", device.leaf_weight).end_object();
  }
  json.end_array();
}

void write_throttle_devices(JsonWriter& json, std::string_view name,
                            const std::vector<ThrottleDevice>& devices) {
  if (devices.empty()) return;
  json.key(name).begin_array();
  for (const ThrottleDevice& device : devices) {
    json.begin_object().key("major").value(device.major).key("minor").value(device.minor);
    json.key("rate").value(device.rate).end_object();
  }
  json.end_array();
}

void write_block_io(JsonWriter& json, const Resources::BlockIo& io) {
  if (io == Resources::BlockIo()) return;
  json.key("blockIO").begin_object();
  json.member("weight", io.weight).member("leafWeight", io.leaf_weight);
  write_weight_devices(json, io.weight_devices);
  write_throttle_devices(json, "throttleReadBpsDevice", io.throttle_read_bps);
  write_throttle_devices(json, "throttleWriteBpsDevice", io.throttle_write_bps);
  write_throttle_devices(json, "throttleReadIOPSDevice", io.throttle_read_iops);
  write_throttle_devices(json, "throttleWriteIOPSDevice", io.throttle_write_iops);
  json.end_object();
}

void write_hugepage_limits(JsonWriter& json, const std::map<std::string, std::uint64_t>& limits) {
  if (limits.empty()) return;
  json.key("hugepageLimits").begin_array();
  for (const auto& [size, limit] : limits) {
    json.begin_object().key("pageSize").value(size).key("limit").value(limit).end_object();
  }
  json.end_array();
}

void write_network(JsonWriter& json, const Resources::Network& network) {
  if (network == Resources::Network()) return;
  json.key("network").begin_object().member("classID", network.class_id);
  if (!network.priorities.empty()) {
    json.key("priorities").begin_array();
    for (const auto& [name, priority] : network.priorities) {
      json.begin_object().key("name").value(name).key("priority").value(priority).end_object();
    }
    json.end_array();
  }
  json.end_object();
}

void write_rdma(JsonWriter& json, const std::map<std::string, RdmaLimit>& limits) {
  if (limits.empty()) return;
  json.key("rdma").begin_object();
  for (const auto& [device, limit] : limits) {
    json.key(device).begin_object().member("hcaHandles", limit.hca_handles);
    json.member("hcaObjects", limit.hca_objects).end_object();
  }
  json.end_object();
}

}  // namespace

void write_resources(JsonWriter& json, const Resources& resources) {
  json.begin_object();
  write_device_rules(json, resources.devices);
  write_memory(json, resources.memory);
  write_cpu(json, resources.cpu);
  if (resources.pids_limit) {
    json.key("pids").begin_object().key("limit").value(*resources.pids_limit).end_object();
  }
  write_block_io(json, resources.block_io);
  write_hugepage_limits(json, resources.hugepage_limits);
  write_network(json, resources.network);
  write_rdma(json, resources.rdma);
  json.member_unless_empty("unified", resources.unified).end_object();
}

}  // namespace oci
