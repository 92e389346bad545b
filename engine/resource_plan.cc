#include "engine/resource_plan.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
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

void plan_memory(const ContainerOptions& options, oci::Resources::Memory& memory) {
  if (options.memory > 0) memory.limit = options.memory;
  if (options.memory_reservation > 0) memory.reservation = options.memory_reservation;
  if (options.memory_swap != 0) {
    if (options.memory_swap > 0 && options.memory == 0) {
      refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    if (options.memory_swap > 0 && options.memory_swap < options.memory) {
      refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    memory.swap = options.memory_swap;
  } else if (options.memory > 0) {
    memory.swap = 2 * options.memory;  // docker's default: as much swap as memory
  }
}

bool is_namespaced(std::string_view key) {
  static constexpr std::array<std::string_view, 11> kIpc = {
      "kernel.msgmax",      "kernel.msgmnb",      "kernel.msgmni",     "kernel.sem",
      "kernel.shmall",      "kernel.shmmax",      "kernel.shmmni",     "kernel.shm_rmid_forced",
      "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id"};
  return std::find(kIpc.begin(), kIpc.end(), key) != kIpc.end() || key.starts_with("fs.mqueue.") ||
         key.starts_with("net.") || key == "kernel.domainname";
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
  oci::Resources resources;
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
  plan_memory(options, resources.memory);
  if (options.nano_cpus > 0) {
    resources.cpu.period = kCpuPeriod;
    resources.cpu.quota = std::max<std::int64_t>(
        1000, options.nano_cpus * static_cast<std::int64_t>(kCpuPeriod) / 1'000'000'000);
  }
  if (options.cpu_shares > 0) resources.cpu.shares = options.cpu_shares;
  resources.cpu.cpus = options.cpuset_cpus;
  if (options.pids_limit != 0)
    resources.pids_limit = std::max<std::int64_t>(-1, options.pids_limit);
  return resources;
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
    result["net.ipv4.ping_group_range"] = "0 2147483647";
  }
  for (const auto& [key, value] : options.sysctls) {
    const bool clean = is_sysctl_name(key) && value.find('\n') == std::string::npos;
    if (!clean || !is_namespaced(key)) refuse("sysctl '" + key + "' is not allowed");
    if (host_network && key.starts_with("net.")) {
      refuse("sysctl '" + key + "' not allowed in host network namespace");
    }
    result[key] = value;
  }
  return result;
}

}  // namespace engine
