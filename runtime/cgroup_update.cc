#include "base/error.h"
#include "base/files.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_limits.h"

namespace runtime {
namespace {

// A file by which a v1 controller is known in any group but a root.
constexpr std::pair<const char*, const char*> kMarks[] = {
    {"memory", "memory.limit_in_bytes"},
    {"cpu", "cpu.shares"},
    {"pids", "pids.max"},
    {"cpuset", "cpuset.cpus"},
    {"blkio", "blkio.reset_stats"},
    {"hugetlb", "hugetlb.2MB.limit_in_bytes"},
    {"net_cls", "net_cls.classid"},
    {"net_prio", "net_prio.ifpriomap"},
};

// memory.limit_in_bytes may never exceed memory.memsw.limit_in_bytes: raising starts with the
// latter, lowering with the former.
void order_v1_memory(std::vector<CgroupWrite>& writes, const std::string& directory,
                     const oci::Resources::Memory& memory) {
  if (writes.size() < 2 || !memory.limit) return;
  const bool has_both = writes[1].file.ends_with("memory.memsw.limit_in_bytes");
  const std::uint64_t now = find_number(directory + "/memory.limit_in_bytes").value_or(0);
  const std::int64_t swap = memory.swap.value_or(-1);
  if (has_both && (swap < 0 || now < static_cast<std::uint64_t>(swap)))
    std::swap(writes[0], writes[1]);
}

}  // namespace

std::vector<CgroupWrite> plan_update(const std::vector<std::string>& paths,
                                     const oci::Resources& resources) {
  check_resources(resources);
  if (paths.size() == 1 && is_cgroup2(paths.front()))
    return plan_v2_limits(paths.front(), resources);
  std::vector<CgroupWrite> all;
  std::set<std::string> missing = needed_controllers(resources);
  for (const auto& [controller, mark] : kMarks) {
    if (!missing.contains(controller)) continue;
    const auto directory = find_path_with(paths, mark);
    if (!directory) continue;
    missing.erase(controller);
    std::vector<CgroupWrite> writes = plan_v1_limits(controller, *directory, resources);
    if (std::string_view(controller) == "memory")
      order_v1_memory(writes, *directory, resources.memory);
    for (CgroupWrite& write : writes) all.push_back(std::move(write));
  }
  if (!missing.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "the container has no cgroup of controller \"" + *missing.begin() + "\"");
  }
  return all;
}

void update_cgroups(const std::vector<std::string>& paths, const oci::Resources& resources) {
  apply_cgroup_writes(plan_update(paths, resources));
}

}  // namespace runtime
