#include "runtime/cgroup_limits.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace runtime {
namespace {

using Failure = CgroupWrite::Failure;

[[noreturn]] void throw_bad_limit(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// Collects the writes for one directory.
class Writes {
 public:
  explicit Writes(const std::string& directory) : directory_(directory) {}

  void add(const std::string& file, const std::string& value, Failure failure = Failure::kFatal) {
    list_.push_back({.file = directory_ + '/' + file,
                     .value = value,
                     .kind = CgroupWrite::Kind::kPlain,
                     .failure = failure});
  }
  template <class Number>
  void add_number(const std::string& file, const std::optional<Number>& value,
                  Failure failure = Failure::kFatal) {
    if (value && *value != 0) add(file, std::to_string(*value), failure);
  }
  std::vector<CgroupWrite> take() { return std::move(list_); }

 private:
  const std::string& directory_;
  std::vector<CgroupWrite> list_;
};

std::string device_line(std::int64_t major, std::int64_t minor, const std::string& rest) {
  return std::to_string(major) + ':' + std::to_string(minor) + ' ' + rest;
}

std::string max_or(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

void add_v1_memory(Writes& writes, const oci::Resources::Memory& memory) {
  // From "no limit" the smaller bound has to come first: memory, then memory+swap.
  writes.add_number("memory.limit_in_bytes", memory.limit);
  if (memory.swap) {
    writes.add_number("memory.memsw.limit_in_bytes", memory.swap, Failure::kOptionalFile);
  } else if (memory.limit == -1) {
    writes.add("memory.memsw.limit_in_bytes", "-1", Failure::kOptionalFile);
  }
  writes.add_number("memory.soft_limit_in_bytes", memory.reservation);
  writes.add_number("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp);
  if (memory.swappiness) writes.add("memory.swappiness", std::to_string(*memory.swappiness));
  if (memory.disable_oom_killer.value_or(false)) writes.add("memory.oom_control", "1");
}

void add_v1_cpu(Writes& writes, const oci::Resources::Cpu& cpu) {
  writes.add_number("cpu.rt_period_us", cpu.realtime_period);
  writes.add_number("cpu.rt_runtime_us", cpu.realtime_runtime);
  writes.add_number("cpu.shares", cpu.shares);
  writes.add_number("cpu.cfs_period_us", cpu.period, Failure::kRetryAfterNext);
  writes.add_number("cpu.cfs_quota_us", cpu.quota);
  writes.add_number("cpu.cfs_burst_us", cpu.burst);
  if (cpu.idle) writes.add("cpu.idle", std::to_string(*cpu.idle));
}

void add_throttle(Writes& writes, const std::string& file,
                  const std::vector<oci::ThrottleDevice>& devices, const std::string& key) {
  for (const oci::ThrottleDevice& device : devices) {
    // 0 takes a limit away: v1 says 0, v2 says max.
    const std::string rate = !key.empty() && device.rate == 0 ? "max" : std::to_string(device.rate);
    writes.add(file, device_line(device.major, device.minor, key + rate));
  }
}

void add_v1_block_io(Writes& writes, const oci::Resources::BlockIo& io) {
  if (io.weight.value_or(0) != 0) {
    writes.add("blkio.weight", std::to_string(*io.weight), Failure::kTryNext);
    writes.add("blkio.bfq.weight", std::to_string(*io.weight));
  }
  writes.add_number("blkio.leaf_weight", io.leaf_weight);
  for (const oci::WeightDevice& device : io.weight_devices) {
    if (device.weight) {
      const std::string line =
          device_line(device.major, device.minor, std::to_string(*device.weight));
      writes.add("blkio.weight_device", line, Failure::kTryNext);
      writes.add("blkio.bfq.weight_device", line);
    }
    if (device.leaf_weight) {
      writes.add("blkio.leaf_weight_device",
                 device_line(device.major, device.minor, std::to_string(*device.leaf_weight)));
    }
  }
  add_throttle(writes, "blkio.throttle.read_bps_device", io.throttle_read_bps, "");
  add_throttle(writes, "blkio.throttle.write_bps_device", io.throttle_write_bps, "");
  add_throttle(writes, "blkio.throttle.read_iops_device", io.throttle_read_iops, "");
  add_throttle(writes, "blkio.throttle.write_iops_device", io.throttle_write_iops, "");
}

void add_v2_memory(Writes& writes, const oci::Resources::Memory& memory) {
  // Swap first: a group that is already too big for its new memory must not flee into swap.
  if (const auto swap = swap_from_memory_swap(memory)) {
    writes.add("memory.swap.max", max_or(*swap), Failure::kOptionalFile);
  }
  if (memory.limit.value_or(0) != 0) writes.add("memory.max", max_or(*memory.limit));
  if (memory.reservation.value_or(0) != 0) writes.add("memory.low", max_or(*memory.reservation));
}

void add_v2_cpu(Writes& writes, const oci::Resources::Cpu& cpu) {
  if (cpu.idle) writes.add("cpu.idle", std::to_string(*cpu.idle));
  // cpu.weight of an idle group can't be set, cgroup-v2 documentation of cpu.idle.
  if (cpu.shares.value_or(0) != 0 && cpu.idle.value_or(0) == 0) {
    writes.add("cpu.weight", std::to_string(weight_from_shares(*cpu.shares)));
  }
  const std::int64_t quota = cpu.quota.value_or(0);
  const std::uint64_t period = cpu.period.value_or(0);
  if (quota != 0 || period != 0) {
    std::string line = quota > 0 ? std::to_string(quota) : "max";
    if (period != 0) line += ' ' + std::to_string(period);
    writes.add("cpu.max", line);
  }
  writes.add_number("cpu.max.burst", cpu.burst);
}

void add_v2_block_io(Writes& writes, const oci::Resources::BlockIo& io) {
  if (io.weight.value_or(0) != 0) {
    writes.add("io.bfq.weight", std::to_string(*io.weight), Failure::kTryNext);
    // 10 … 1000 to 1 … 10000
    const std::uint64_t weight = 1 + (std::max<std::uint64_t>(*io.weight, 10) - 10) * 9999 / 990;
    writes.add("io.weight", std::to_string(weight));
  }
  for (const oci::WeightDevice& device : io.weight_devices) {
    if (!device.weight) continue;
    writes.add("io.bfq.weight",
               device_line(device.major, device.minor, std::to_string(*device.weight)));
  }
  add_throttle(writes, "io.max", io.throttle_read_bps, "rbps=");
  add_throttle(writes, "io.max", io.throttle_write_bps, "wbps=");
  add_throttle(writes, "io.max", io.throttle_read_iops, "riops=");
  add_throttle(writes, "io.max", io.throttle_write_iops, "wiops=");
}

// The same file on v1 and v2; see the kernel's cgroup-v1/rdma.rst.
void add_rdma(Writes& writes, const oci::Resources& resources) {
  for (const auto& [device, limit] : resources.rdma) {
    std::string line = device;
    if (limit.hca_handles) line += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) line += " hca_object=" + std::to_string(*limit.hca_objects);
    writes.add("rdma.max", line);
  }
}

void check_memory(const oci::Resources::Memory& memory) {
  const std::int64_t limit = memory.limit.value_or(0);
  const std::int64_t swap = memory.swap.value_or(0);
  if (limit < -1 || swap < -1) throw_bad_limit("memory limit below zero");
  if (swap > 0 && limit <= 0) throw_bad_limit("memory+swap limit without memory limit");
  if (swap > 0 && swap < limit) throw_bad_limit("memory+swap limit is below the memory limit");
  if (memory.swappiness.value_or(0) > 100) throw_bad_limit("memory swappiness above 100");
  if (memory.kernel.value_or(0) > 0) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "linux.resources.memory.kernel: kernels have no such limit any more");
  }
  if (!memory.use_hierarchy.value_or(true)) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "linux.resources.memory.useHierarchy: kernels count no other way any more");
  }
}

}  // namespace

void check_resources(const oci::Resources& resources) {
  check_memory(resources.memory);
  const auto check_name = [](const std::string& name, const char* what) {
    const bool bad = name.empty() || name.front() == '.' ||
                     name.find_first_of("/\n") != std::string::npos ||
                     name.find('\0') != std::string::npos;
    if (bad) throw_bad_limit(std::string(what) + " \"" + name + "\"");
  };
  for (const auto& [file, value] : resources.unified) check_name(file, "unified cgroup file");
  for (const auto& [size, limit] : resources.hugepage_limits) check_name(size, "huge page size");
}

std::set<std::string> needed_controllers(const oci::Resources& resources) {
  std::set<std::string> names;
  const auto& memory = resources.memory;
  const auto& cpu = resources.cpu;
  const auto& io = resources.block_io;
  if (memory.limit.value_or(0) != 0 || memory.swap.value_or(0) != 0 ||
      memory.reservation.value_or(0) != 0 || memory.kernel_tcp.value_or(0) != 0 ||
      memory.swappiness || memory.disable_oom_killer.value_or(false)) {
    names.insert("memory");
  }
  if (cpu.shares.value_or(0) != 0 || cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0 ||
      cpu.realtime_period.value_or(0) != 0 || cpu.realtime_runtime.value_or(0) != 0 ||
      cpu.burst.value_or(0) != 0 || cpu.idle) {
    names.insert("cpu");
  }
  if (!cpu.cpus.empty() || !cpu.mems.empty()) names.insert("cpuset");
  if (resources.pids_limit.value_or(0) != 0) names.insert("pids");
  if (!(io == oci::Resources::BlockIo{})) names.insert("blkio");
  if (!resources.hugepage_limits.empty()) names.insert("hugetlb");
  if (resources.network.class_id) names.insert("net_cls");
  if (!resources.network.priorities.empty()) names.insert("net_prio");
  if (!resources.rdma.empty()) names.insert("rdma");
  return names;
}

std::vector<CgroupWrite> plan_v1_limits(const std::string& controller, const std::string& directory,
                                        const oci::Resources& resources) {
  Writes writes(directory);
  if (controller == "memory") add_v1_memory(writes, resources.memory);
  if (controller == "cpu") add_v1_cpu(writes, resources.cpu);
  if (controller == "blkio") add_v1_block_io(writes, resources.block_io);
  if (controller == "cpuset") {
    if (!resources.cpu.cpus.empty()) writes.add("cpuset.cpus", resources.cpu.cpus);
    if (!resources.cpu.mems.empty()) writes.add("cpuset.mems", resources.cpu.mems);
  }
  if (controller == "pids" && resources.pids_limit.value_or(0) != 0) {
    writes.add("pids.max", max_or(*resources.pids_limit));
  }
  if (controller == "hugetlb") {
    for (const auto& [size, limit] : resources.hugepage_limits) {
      writes.add("hugetlb." + size + ".limit_in_bytes", std::to_string(limit));
      writes.add("hugetlb." + size + ".rsvd.limit_in_bytes", std::to_string(limit),
                 Failure::kOptionalFile);
    }
  }
  if (controller == "net_cls" && resources.network.class_id) {
    writes.add("net_cls.classid", std::to_string(*resources.network.class_id));
  }
  if (controller == "net_prio") {
    for (const auto& [name, priority] : resources.network.priorities) {
      writes.add("net_prio.ifpriomap", name + ' ' + std::to_string(priority));
    }
  }
  if (controller == "rdma") add_rdma(writes, resources);
  return writes.take();
}

std::vector<CgroupWrite> plan_v2_limits(const std::string& directory,
                                        const oci::Resources& resources) {
  Writes writes(directory);
  add_v2_memory(writes, resources.memory);
  add_v2_cpu(writes, resources.cpu);
  if (!resources.cpu.cpus.empty()) writes.add("cpuset.cpus", resources.cpu.cpus);
  if (!resources.cpu.mems.empty()) writes.add("cpuset.mems", resources.cpu.mems);
  if (resources.pids_limit.value_or(0) != 0) writes.add("pids.max", max_or(*resources.pids_limit));
  add_v2_block_io(writes, resources.block_io);
  for (const auto& [size, limit] : resources.hugepage_limits) {
    writes.add("hugetlb." + size + ".max", std::to_string(limit));
    writes.add("hugetlb." + size + ".rsvd.max", std::to_string(limit), Failure::kOptionalFile);
  }
  add_rdma(writes, resources);
  for (const auto& [file, value] : resources.unified) writes.add(file, value);
  return writes.take();
}

std::uint64_t weight_from_shares(std::uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const double log2 = std::log2(static_cast<double>(shares));
  return static_cast<std::uint64_t>(
      std::ceil(std::pow(10, (log2 * log2 + 125 * log2) / 612.0 - 7.0 / 34.0)));
}

std::optional<std::int64_t> swap_from_memory_swap(const oci::Resources::Memory& memory) {
  const std::int64_t limit = memory.limit.value_or(0);
  const std::int64_t swap = memory.swap.value_or(0);
  if (swap == 0) return limit == -1 ? std::optional<std::int64_t>(-1) : std::nullopt;
  if (swap == -1 || limit <= 0) return swap;
  return swap - limit;
}

}  // namespace runtime
