#include <utility>

#include "base/text.h"
#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

// -1, which dockerd writes for "*", is any number too.
std::optional<std::int64_t> parse_device_number(const JsonValue& value) {
  std::optional<std::int64_t> number;
  value.read(number);
  return number == -1 ? std::nullopt : number;
}

DeviceRule parse_device_rule(const JsonValue& value) {
  DeviceRule rule;
  rule.allow = value["allow"].boolean();
  std::string type = "a";
  value["type"].read(type);
  if (type != "a" && type != "b" && type != "c") {
    value["type"].fail("\"" + base::printable(type, 40) + "\" is not a, b or c");
  }
  rule.type = type[0];
  rule.major = parse_device_number(value["major"]);
  rule.minor = parse_device_number(value["minor"]);
  value["access"].read(rule.access);
  if (rule.access.find_first_not_of("rwm") != std::string::npos) {
    value["access"].fail("must be made of r, w and m");
  }
  return rule;
}

Resources::Memory parse_memory(const JsonValue& value) {
  Resources::Memory memory;
  value["limit"].read(memory.limit);
  value["reservation"].read(memory.reservation);
  value["swap"].read(memory.swap);
  value["kernel"].read(memory.kernel);
  value["kernelTCP"].read(memory.kernel_tcp);
  value["swappiness"].read(memory.swappiness);
  value["disableOOMKiller"].read(memory.disable_oom_killer);
  value["useHierarchy"].read(memory.use_hierarchy);
  value["checkBeforeUpdate"].read(memory.check_before_update);
  return memory;
}

Resources::Cpu parse_cpu(const JsonValue& value) {
  Resources::Cpu cpu;
  value["shares"].read(cpu.shares);
  value["quota"].read(cpu.quota);
  value["period"].read(cpu.period);
  value["burst"].read(cpu.burst);
  value["realtimeRuntime"].read(cpu.realtime_runtime);
  value["realtimePeriod"].read(cpu.realtime_period);
  value["idle"].read(cpu.idle);
  value["cpus"].read(cpu.cpus);
  value["mems"].read(cpu.mems);
  return cpu;
}

std::vector<WeightDevice> parse_weight_devices(const JsonValue& value) {
  std::vector<WeightDevice> devices;
  for (const JsonValue& element : value.elements()) {
    WeightDevice device{.major = element["major"].integer<std::int64_t>(),
                        .minor = element["minor"].integer<std::int64_t>(),
                        .weight = {},
                        .leaf_weight = {}};
    element["weight"].read(device.weight);
    element["leafWeight"].read(device.leaf_weight);
    devices.push_back(device);
  }
  return devices;
}

std::vector<ThrottleDevice> parse_throttle_devices(const JsonValue& value) {
  std::vector<ThrottleDevice> devices;
  for (const JsonValue& element : value.elements()) {
    devices.push_back({.major = element["major"].integer<std::int64_t>(),
                       .minor = element["minor"].integer<std::int64_t>(),
                       .rate = element["rate"].integer<std::uint64_t>()});
  }
  return devices;
}

Resources::BlockIo parse_block_io(const JsonValue& value) {
  Resources::BlockIo io;
  value["weight"].read(io.weight);
  value["leafWeight"].read(io.leaf_weight);
  io.weight_devices = parse_weight_devices(value["weightDevice"]);
  io.throttle_read_bps = parse_throttle_devices(value["throttleReadBpsDevice"]);
  io.throttle_write_bps = parse_throttle_devices(value["throttleWriteBpsDevice"]);
  io.throttle_read_iops = parse_throttle_devices(value["throttleReadIOPSDevice"]);
  io.throttle_write_iops = parse_throttle_devices(value["throttleWriteIOPSDevice"]);
  return io;
}

Resources::Network parse_network(const JsonValue& value) {
  Resources::Network network;
  value["classID"].read(network.class_id);
  for (const JsonValue& element : value["priorities"].elements()) {
    network.priorities[element["name"].string()] = element["priority"].integer<std::uint32_t>();
  }
  return network;
}

std::map<std::string, RdmaLimit> parse_rdma(const JsonValue& value) {
  std::map<std::string, RdmaLimit> limits;
  for (const auto& [device, limit] : value.members()) {
    RdmaLimit& entry = limits[device];
    limit["hcaHandles"].read(entry.hca_handles);
    limit["hcaObjects"].read(entry.hca_objects);
  }
  return limits;
}

}  // namespace

Resources parse_resources(const JsonValue& value) {
  Resources resources;
  for (const JsonValue& rule : value["devices"].elements()) {
    resources.devices.push_back(parse_device_rule(rule));
  }
  resources.memory = parse_memory(value["memory"]);
  resources.cpu = parse_cpu(value["cpu"]);
  value["pids"]["limit"].read(resources.pids_limit);
  resources.block_io = parse_block_io(value["blockIO"]);
  for (const JsonValue& element : value["hugepageLimits"].elements()) {
    resources.hugepage_limits[element["pageSize"].string()] =
        element["limit"].integer<std::uint64_t>();
  }
  resources.network = parse_network(value["network"]);
  resources.rdma = parse_rdma(value["rdma"]);
  value["unified"].read(resources.unified);
  return resources;
}

}  // namespace oci
