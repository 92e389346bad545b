#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

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

// "/sampan/one": where the groups are in their hierarchies.
std::optional<std::string> path_below_mount(const std::vector<std::string>& paths,
                                            const CgroupHost& host) {
  std::vector<CgroupHierarchy> hierarchies = host.v1;
  if (host.layout == CgroupLayout::kV2 && host.v2) hierarchies = {*host.v2};
  for (const std::string& path : paths) {
    for (const CgroupHierarchy& each : hierarchies) {
      if (path.starts_with(each.mount_point + "/")) return path.substr(each.mount_point.size());
    }
  }
  return std::nullopt;
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

CgroupExtension plan_extension(const std::vector<std::string>& paths,
                               const oci::Resources& resources, const CgroupHost& host) {
  CgroupExtension extension;
  const auto below = path_below_mount(paths, host);
  if (!below) return extension;
  oci::Resources wanted = resources;
  wanted.devices.clear();  // those of a container stay as they are
  const CgroupPlan plan = plan_cgroups(*below, wanted, host);
  for (const std::string& directory : plan.directories) {
    if (std::find(paths.begin(), paths.end(), directory) == paths.end())
      extension.directories.push_back(directory);
  }
  for (const CgroupWrite& write : plan.writes) {
    const bool is_new = std::any_of(
        extension.directories.begin(), extension.directories.end(), [&](const std::string& each) {
          // Its own files and, for a cpuset, those of its parents.
          return each.starts_with(write.file.substr(0, write.file.rfind('/')));
        });
    if (is_new || write.kind == CgroupWrite::Kind::kEnableMissing)
      extension.writes.push_back(write);
  }
  return extension;
}

void apply_extension(const CgroupExtension& extension, const std::vector<std::string>& paths) {
  for (const std::string& directory : extension.directories) base::make_dirs(directory);
  apply_cgroup_writes(extension.writes);
  for (const std::string& directory : extension.directories) {
    // Until nobody new is there: a process may fork while it is moved.
    std::set<pid_t> moved;
    for (bool found = true; found;) {
      found = false;
      for (const pid_t pid : list_pids(paths)) {
        if (!moved.insert(pid).second) continue;
        found = true;
        const int failure = write_cgroup_file(directory + "/cgroup.procs", std::to_string(pid));
        if (failure != 0 && failure != ESRCH) {
          base::throw_errno("move process " + std::to_string(pid) + " to " + directory, failure);
        }
      }
    }
  }
}

void update_cgroups(const std::vector<std::string>& paths, const oci::Resources& resources) {
  apply_cgroup_writes(plan_update(paths, resources));
}

}  // namespace runtime
