#include <sched.h>
#include <unistd.h>

#include "base/files.h"
#include "engine/resource_limits.h"
#include "runtime/cgroup.h"

namespace engine {
namespace {

bool has_controller(const runtime::CgroupHierarchy& hierarchy, std::string_view name) {
  for (const std::string& controller : hierarchy.controllers) {
    if (controller == name) return true;
  }
  return false;
}

bool has_file(const std::string& folder, const char* name) {
  return access((folder + "/" + name).c_str(), F_OK) == 0;
}

// Directory of a v1 controller's root group, which has the files that any group has but for those
// of weights; empty: not mounted.
std::string v1_folder(const runtime::CgroupHost& host, std::string_view controller) {
  for (const runtime::CgroupHierarchy& hierarchy : host.v1) {
    if (has_controller(hierarchy, controller)) return hierarchy.mount_point;
  }
  return {};
}

void find_v1(const runtime::CgroupHost& host, ResourceSupport& support) {
  const std::string memory = v1_folder(host, "memory");
  support.memory = has_file(memory, "memory.limit_in_bytes");
  support.swap = has_file(memory, "memory.memsw.limit_in_bytes");
  support.reservation = has_file(memory, "memory.soft_limit_in_bytes");
  support.swappiness = has_file(memory, "memory.swappiness");
  support.oom_kill_disable = has_file(memory, "memory.oom_control");
  const std::string cpu = v1_folder(host, "cpu");
  support.cpu_shares = has_file(cpu, "cpu.shares");
  support.cpu_quota = has_file(cpu, "cpu.cfs_quota_us");
  support.cpu_realtime = has_file(cpu, "cpu.rt_runtime_us");
  support.cpuset = !v1_folder(host, "cpuset").empty();
  support.pids = !v1_folder(host, "pids").empty();
  const std::string block_io = v1_folder(host, "blkio");
  // The files of BFQ's statistics: its weights are not in the root group.
  support.blkio_weight =
      has_file(block_io, "blkio.weight") || has_file(block_io, "blkio.bfq.io_serviced");
  support.blkio_throttle = has_file(block_io, "blkio.throttle.read_bps_device");
}

void find_v2(const runtime::CgroupHierarchy& hierarchy, ResourceSupport& support) {
  const std::string own = hierarchy.mount_point + hierarchy.own_path;
  support.memory = support.reservation = has_controller(hierarchy, "memory");
  // The root group has no such file; whether others have, only swap itself says there.
  support.swap = support.memory && (hierarchy.own_path == "/" || hierarchy.own_path.empty()
                                        ? access("/proc/swaps", F_OK) == 0
                                        : has_file(own, "memory.swap.max"));
  support.swappiness = support.oom_kill_disable = support.cpu_realtime = false;
  support.cpu_shares = support.cpu_quota = has_controller(hierarchy, "cpu");
  support.cpuset = has_controller(hierarchy, "cpuset");
  support.pids = has_controller(hierarchy, "pids");
  support.blkio_weight = support.blkio_throttle = has_controller(hierarchy, "io");
}

std::string read_list(const char* file) {
  std::string text = base::find_file(file, 1U << 16U).value_or("0");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

ResourceSupport find_resource_support() {
  ResourceSupport support;
  const runtime::CgroupHost host = runtime::detect_cgroups();
  if (host.layout == runtime::CgroupLayout::kV2 && host.v2) {
    find_v2(*host.v2, support);
  } else {
    find_v1(host, support);
  }
  support.cpus = read_list("/sys/devices/system/cpu/online");
  support.memory_nodes = read_list("/sys/devices/system/node/online");
  cpu_set_t ours;
  if (sched_getaffinity(0, sizeof ours, &ours) == 0) {
    support.cpu_count = CPU_COUNT(&ours);
  } else {  // more than 1024 of them
    support.cpu_count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }
  return support;
}

}  // namespace engine
