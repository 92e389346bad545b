#include "engine/resource_plan.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "engine/isolation.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

constexpr std::uint64_t kCpuPeriod = 100000;  // microseconds: the kernel's and docker's

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool is_access(std::string_view text) {
  return !text.empty() && text.find_first_not_of("rwm") == std::string_view::npos;
}

void plan_memory(const ResourceLimits& limits, oci::Resources::Memory& memory) {
  if (limits.memory > 0) memory.limit = limits.memory;
  if (limits.memory_reservation > 0) memory.reservation = limits.memory_reservation;
  if (limits.memory_swap != 0) {
    memory.swap = limits.memory_swap;
  } else if (limits.memory > 0) {
    memory.swap = 2 * limits.memory;  // docker's default: as much swap as memory
  }
  if (limits.memory_swappiness) {
    memory.swappiness = static_cast<std::uint64_t>(*limits.memory_swappiness);
  }
  if (limits.oom_kill_disable) memory.disable_oom_killer = true;
}

void plan_cpu(const ResourceLimits& limits, oci::Resources::Cpu& cpu) {
  if (limits.nano_cpus > 0) {
    cpu.period = kCpuPeriod;
    cpu.quota = std::max<std::int64_t>(
        1000, limits.nano_cpus * static_cast<std::int64_t>(kCpuPeriod) / 1'000'000'000);
  }
  if (limits.cpu_period > 0) cpu.period = static_cast<std::uint64_t>(limits.cpu_period);
  if (limits.cpu_quota != 0) cpu.quota = std::max<std::int64_t>(-1, limits.cpu_quota);
  if (limits.cpu_realtime_period > 0) {
    cpu.realtime_period = static_cast<std::uint64_t>(limits.cpu_realtime_period);
  }
  if (limits.cpu_realtime_runtime > 0) cpu.realtime_runtime = limits.cpu_realtime_runtime;
  if (limits.cpu_shares > 0) cpu.shares = limits.cpu_shares;
  cpu.cpus = limits.cpuset_cpus;
  cpu.mems = limits.cpuset_mems;
}

bool is_ipc_sysctl(std::string_view key) {
  static constexpr std::array<std::string_view, 11> kIpc = {
      "kernel.msgmax",      "kernel.msgmnb",      "kernel.msgmni",     "kernel.sem",
      "kernel.shmall",      "kernel.shmmax",      "kernel.shmmni",     "kernel.shm_rmid_forced",
      "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"};
  return std::find(kIpc.begin(), kIpc.end(), key) != kIpc.end();
}

bool is_namespaced(std::string_view key) {
  return is_ipc_sysctl(key) || key.starts_with("fs.mqueue.") || key.starts_with("net.") ||
         key == "kernel.domainname";
}

bool is_sysctl_name(std::string_view key) {
  return key.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") ==
             std::string_view::npos &&
         key.find("..") == std::string_view::npos;
}

}  // namespace

DeviceOption parse_device_option(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(':', start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  if (parts.empty() || parts.size() > 3 || parts[0].empty()) {
    refuse("bad format for device: \"" + text + "\"");
  }
  DeviceOption option{.host = parts[0], .container = parts[0]};
  if (parts.size() == 3) {
    option.container = parts[1];
    option.access = parts[2];
  } else if (parts.size() == 2) {
    (is_access(parts[1]) ? option.access : option.container) = parts[1];
  }
  if (!is_access(option.access)) refuse("bad mode specified: " + option.access);
  if (option.container.empty() || option.container[0] != '/') {
    refuse("bad format for device: \"" + text + "\": " + option.container +
           " is not an absolute path");
  }
  return option;
}

oci::Resources plan_resources(const ContainerOptions& options,
                              const std::vector<HostDevice>& devices) {
  oci::Resources resources = plan_limits(options.limits);
  if (options.privileged) {
    oci::DeviceRule everything;
    everything.allow = true;
    resources.devices.push_back(everything);
  } else {
    resources.devices = runtime::default_device_rules();
    for (const HostDevice& device : devices) {
      resources.devices.push_back({.allow = true,
                                   .type = device.node.type,
                                   .major = device.node.major,
                                   .minor = device.node.minor,
                                   .access = device.access});
    }
  }
  for (const std::string& rule : options.device_rules) {
    resources.devices.push_back(parse_device_rule(rule));
  }
  return resources;
}

oci::Resources plan_limits(const ResourceLimits& limits) {
  oci::Resources resources;
  plan_memory(limits, resources.memory);
  plan_cpu(limits, resources.cpu);
  if (limits.pids_limit != 0) resources.pids_limit = std::max<std::int64_t>(-1, limits.pids_limit);
  if (limits.blkio_weight != 0) resources.block_io.weight = limits.blkio_weight;
  return resources;
}

void plan_disk_limits(const ResourceLimits& limits, const DiskNumbers& disks,
                      oci::Resources::BlockIo& block_io) {
  const auto number_of = [&](const std::string& path) {
    const auto it = disks.find(path);
    return it == disks.end() ? DiskNumber{} : it->second;
  };
  for (const DeviceWeight& device : limits.blkio_weight_devices) {
    const DiskNumber number = number_of(device.path);
    block_io.weight_devices.push_back({.major = number.major,
                                       .minor = number.minor,
                                       .weight = device.weight,
                                       .leaf_weight = std::nullopt});
  }
  const auto add = [&](const std::vector<DeviceRate>& rates,
                       std::vector<oci::ThrottleDevice>& throttles) {
    for (const DeviceRate& device : rates) {
      const DiskNumber number = number_of(device.path);
      throttles.push_back({.major = number.major, .minor = number.minor, .rate = device.rate});
    }
  };
  add(limits.read_bps, block_io.throttle_read_bps);
  add(limits.write_bps, block_io.throttle_write_bps);
  add(limits.read_iops, block_io.throttle_read_iops);
  add(limits.write_iops, block_io.throttle_write_iops);
}

std::vector<oci::Rlimit> plan_rlimits(const std::vector<oci::Rlimit>& wanted,
                                      const HardLimits& limits) {
  std::vector<oci::Rlimit> result = wanted;
  if (limits.may_raise) return result;
  for (oci::Rlimit& limit : result) {
    const auto it = limits.maximum.find(limit.type);
    if (it == limits.maximum.end()) continue;
    limit.hard = std::min(limit.hard, it->second);
    limit.soft = std::min(limit.soft, limit.hard);
  }
  return result;
}

std::map<std::string, std::string> plan_sysctls(const ContainerOptions& options) {
  std::map<std::string, std::string> result;
  const bool host_network = options.network == NetworkMode::kHost;
  if (!host_network) {
    // docker's since 20.10: port 80 and ping for every user of the container.
    result["net.ipv4.ip_unprivileged_port_start"] = "0";
    // Groups that a user namespace does not have are refused.
    if (!has_user_namespace(options)) result["net.ipv4.ping_group_range"] = "0 2147483647";
  }
  for (const auto& [key, value] : options.sysctls) {
    const bool clean = is_sysctl_name(key) && value.find('\n') == std::string::npos;
    if (!clean || !is_namespaced(key)) refuse("sysctl '" + key + "' is not allowed");
    if (host_network && key.starts_with("net.")) {
      refuse("sysctl '" + key + "' not allowed in host network namespace");
    }
    if (options.ipc_mode == "host" && (key.starts_with("fs.mqueue.") || is_ipc_sysctl(key))) {
      refuse("sysctl '" + key + "' not allowed in host ipc namespace");
    }
    result[key] = value;
  }
  return result;
}

}  // namespace engine
