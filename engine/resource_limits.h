// ResourceLimits: what `create` and `run` may limit and `update` may change later, and docker's
// rules for it; pure but for find_resource_support().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace engine {

struct DeviceRate {  // bytes or operations a second of one disk
  std::string path;
  std::uint64_t rate = 0;
  friend bool operator==(const DeviceRate&, const DeviceRate&) = default;
};

struct DeviceWeight {
  std::string path;
  std::uint16_t weight = 0;
  friend bool operator==(const DeviceWeight&, const DeviceWeight&) = default;
};

// 0, empty: not said.
struct ResourceLimits {
  std::int64_t memory = 0, memory_swap = 0, memory_reservation = 0;  // bytes; swap -1: unlimited
  std::int64_t kernel_memory = 0;
  std::optional<std::int64_t> memory_swappiness;  // 0 … 100
  bool oom_kill_disable = false;
  std::int64_t nano_cpus = 0, cpu_period = 0, cpu_quota = 0;  // the latter in microseconds
  std::int64_t cpu_realtime_period = 0, cpu_realtime_runtime = 0;
  std::uint64_t cpu_shares = 0;
  std::string cpuset_cpus, cpuset_mems;
  std::int64_t pids_limit = 0;     // -1: unlimited
  std::uint16_t blkio_weight = 0;  // 10 … 1000
  std::vector<DeviceWeight> blkio_weight_devices;
  std::vector<DeviceRate> read_bps, write_bps, read_iops, write_iops;
  friend bool operator==(const ResourceLimits&, const ResourceLimits&) = default;
};

// What this kernel's control groups can limit.
struct ResourceSupport {
  bool memory = true, swap = true, reservation = true, swappiness = true, oom_kill_disable = true;
  bool cpu_shares = true, cpu_quota = true, cpu_realtime = true, cpuset = true, pids = true;
  bool blkio_weight = true, blkio_throttle = true;
  std::string cpus = "0", memory_nodes = "0";  // those that are online: "0-3,7"
  int cpu_count = 1;
};
ResourceSupport find_resource_support();

// Throws kInvalid with docker's words for what contradicts itself or can't be given; takes away
// what this kernel can't limit, and returns docker's warnings about that.
std::vector<std::string> check_limits(ResourceLimits& limits, const ResourceSupport& support);

// `update`: what `change` says, over what is set. Throws kInvalid with docker's words where the two
// do not go together. The result is still to be checked.
ResourceLimits merge_limits(ResourceLimits current, const ResourceLimits& change);

// "0-2,5" as numbers, sorted; nullopt where it is no such list.
std::optional<std::vector<int>> parse_number_list(const std::string& text);

}  // namespace engine
