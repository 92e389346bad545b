#include <algorithm>

#include "base/error.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_limits.h"
#include "runtime/name_lists.h"

namespace runtime {
namespace {

using Failure = CgroupWrite::Failure;
using Kind = CgroupWrite::Kind;

// Joined whether or not a limit asks for them: accounting, the freezer and the device list. Every
// further hierarchy costs 0.12 ms per container, so the others wait for a limit.
constexpr const char* kUsualV1[] = {"cpu", "cpuacct", "memory", "devices", "freezer", "pids"};
constexpr const char* kUsualV2[] = {"cpu", "memory", "pids", "io"};

// The field of config.json that a controller obeys.
constexpr std::pair<const char*, const char*> kFields[] = {
    {"memory", "memory"},           {"cpu", "cpu"},
    {"cpuset", "cpu.cpus"},         {"pids", "pids"},
    {"blkio", "blockIO"},           {"io", "blockIO"},
    {"hugetlb", "hugepageLimits"},  {"rdma", "rdma"},
    {"net_cls", "network.classID"}, {"net_prio", "network.priorities"},
    {"devices", "devices"}};

[[noreturn]] void throw_unsupported(const std::string& controller) {
  std::string field = "unified";
  for (const auto& [name, words] : kFields) {
    if (controller == name) field = words;
  }
  throw base::Error(base::ErrorKind::kUnsupported,
                    "linux.resources." + field + " needs the cgroup controller \"" + controller +
                        "\", which this host does not have");
}

// What v1 could and v2 has nothing for.
void refuse_v1_only(const oci::Resources& resources) {
  const auto& memory = resources.memory;
  const auto& cpu = resources.cpu;
  const auto& io = resources.block_io;
  const bool has_leaf_weight =
      io.leaf_weight.value_or(0) != 0 ||
      std::any_of(io.weight_devices.begin(), io.weight_devices.end(),
                  [](const auto& device) { return device.leaf_weight.value_or(0) != 0; });
  const std::pair<const char*, bool> kTable[] = {
      {"memory.swappiness", memory.swappiness.has_value()},
      {"memory.disableOOMKiller", memory.disable_oom_killer.value_or(false)},
      {"memory.kernelTCP", memory.kernel_tcp.value_or(0) > 0},
      {"cpu.realtimeRuntime", cpu.realtime_runtime.value_or(0) != 0},
      {"cpu.realtimePeriod", cpu.realtime_period.value_or(0) != 0},
      {"blockIO.leafWeight", has_leaf_weight},
      {"network.classID", resources.network.class_id.value_or(0) != 0},
      {"network.priorities", !resources.network.priorities.empty()}};
  for (const auto& [field, is_set] : kTable) {
    if (!is_set) continue;
    throw base::Error(base::ErrorKind::kUnsupported,
                      std::string("linux.resources.") + field + ": cgroup v2 has no such limit");
  }
}

// "a//b/./c" as {a, b, c}. Refuses ".." so that no spec names a group outside of its parent.
std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    std::string part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == ".." || part.find('\n') != std::string::npos ||
        part.find('\0') != std::string::npos) {
      throw base::Error(base::ErrorKind::kInvalid, "cgroups path \"" + path + "\"");
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

// The directories from below the mount point down to the container's own.
std::vector<std::string> lineage(const CgroupHierarchy& hierarchy, const std::string& base,
                                 const std::vector<std::string>& parts) {
  std::vector<std::string> directories;
  std::string directory = hierarchy.mount_point;
  for (const std::string& part : split_path(base)) directories.push_back(directory += '/' + part);
  for (const std::string& part : parts) directories.push_back(directory += '/' + part);
  return directories;
}

void plan_v1_devices(std::vector<CgroupWrite>& writes, const std::string& directory,
                     const DeviceList& list) {
  // A new group has its parent's list: nothing to say for "all allowed".
  const std::string exceptions =
      directory + (list.allow_by_default ? "/devices.deny" : "/devices.allow");
  if (!list.allow_by_default) writes.push_back({.file = directory + "/devices.deny", .value = "a"});
  for (const oci::DeviceRule& rule : list.exceptions) {
    writes.push_back({.file = exceptions, .value = render(rule)});
  }
}

// A cpuset without cpus or mems takes nobody in, and new groups start with neither.
void plan_v1_cpuset(std::vector<CgroupWrite>& writes, const CgroupHierarchy& hierarchy,
                    const std::vector<std::string>& directories) {
  const std::string* parent = &hierarchy.mount_point;
  for (const std::string& directory : directories) {
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      writes.push_back(
          {.file = directory + file, .value = *parent + file, .kind = Kind::kInheritIfEmpty});
    }
    parent = &directory;
  }
}

bool is_wanted_v1(const CgroupHierarchy& hierarchy, const std::set<std::string>& needed) {
  return std::any_of(
      hierarchy.controllers.begin(), hierarchy.controllers.end(), [&](const std::string& name) {
        return needed.contains(name) ||
               std::find(std::begin(kUsualV1), std::end(kUsualV1), name) != std::end(kUsualV1);
      });
}

void plan_v1(CgroupPlan& plan, const std::string& path, const std::vector<std::string>& parts,
             const oci::Resources& resources, const DeviceList& devices, const CgroupHost& host) {
  std::set<std::string> missing = needed_controllers(resources);
  if (!(devices == DeviceList{.allow_by_default = true, .exceptions = {}}))
    missing.insert("devices");
  const std::set<std::string> needed = missing;
  for (const CgroupHierarchy& hierarchy : host.v1) {
    if (!is_wanted_v1(hierarchy, needed)) continue;
    const auto directories =
        lineage(hierarchy, path.front() == '/' ? "/" : hierarchy.own_path, parts);
    const std::string& own = directories.back();
    plan.directories.push_back(own);
    plan.task_files.push_back(own + "/tasks");
    for (const std::string& controller : hierarchy.controllers) {
      missing.erase(controller);
      if (controller == "cpuset") plan_v1_cpuset(plan.writes, hierarchy, directories);
      if (controller == "devices") plan_v1_devices(plan.writes, own, devices);
      for (CgroupWrite& write : plan_v1_limits(controller, own, resources)) {
        plan.writes.push_back(std::move(write));
      }
    }
  }
  if (!missing.empty()) throw_unsupported(*missing.begin());
  if (!resources.unified.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported, "linux.resources.unified needs cgroup v2");
  }
}

// The controllers of v2 that limits ask for, in v2's words. net_cls, net_prio and devices have no
// controller there.
std::set<std::string> needed_v2(const oci::Resources& resources) {
  std::set<std::string> needed = needed_controllers(resources);
  needed.erase("net_cls");
  needed.erase("net_prio");
  if (needed.erase("blkio") > 0) needed.insert("io");
  for (const auto& [file, value] : resources.unified) {
    const std::string controller = file.substr(0, file.find('.'));
    if (controller != "cgroup") needed.insert(controller);
  }
  return needed;
}

std::string enable_line(const std::set<std::string>& controllers) {
  std::string line;
  for (const std::string& name : controllers) line += (line.empty() ? "+" : " +") + name;
  return line;
}

void plan_v2(CgroupPlan& plan, const std::string& path, const std::vector<std::string>& parts,
             const oci::Resources& resources, const DeviceList& devices,
             const CgroupHierarchy& host) {
  refuse_v1_only(resources);
  const std::set<std::string> needed = needed_v2(resources);
  for (const std::string& controller : needed) {
    if (!contains(host.controllers, controller)) throw_unsupported(controller);
  }
  std::set<std::string> usual;
  for (const char* controller : kUsualV2) {
    if (contains(host.controllers, controller) && !needed.contains(controller))
      usual.insert(controller);
  }
  const auto directories =
      lineage(host, path.front() == '/' ? "/" : parent_of(host.own_path), parts);
  const std::string& own = directories.back();
  plan.directories.push_back(own);
  plan.clone_into = own;
  const std::string* parent = &host.mount_point;
  for (const std::string& directory : directories) {
    const std::string file = *parent + "/cgroup.subtree_control";
    if (!needed.empty())
      plan.writes.push_back(
          {.file = file, .value = enable_line(needed), .kind = Kind::kEnableMissing});
    if (!usual.empty()) {
      plan.writes.push_back({.file = file,
                             .value = enable_line(usual),
                             .kind = Kind::kEnableMissing,
                             .failure = Failure::kIgnored});
    }
    parent = &directory;
  }
  for (CgroupWrite& write : plan_v2_limits(own, resources)) plan.writes.push_back(std::move(write));
  if (!devices.allow_by_default || !devices.exceptions.empty()) plan.device_program = devices;
}

const char* failure_note(Failure failure) {
  switch (failure) {
    case Failure::kFatal:
      return "";
    case Failure::kIgnored:
      return " (may fail)";
    case Failure::kOptionalFile:
      return " (if the file exists)";
    case Failure::kRetryAfterNext:
      return " (or after the next)";
    case Failure::kTryNext:
      return " (else the next)";
  }
  return "";
}

}  // namespace

CgroupPlan plan_cgroups(const std::string& cgroups_path, const oci::Resources& resources,
                        const CgroupHost& host) {
  check_resources(resources);
  const std::vector<std::string> parts = split_path(cgroups_path);
  if (parts.empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "cgroups path \"" + cgroups_path + "\" is a hierarchy's root");
  }
  const DeviceList devices = plan_devices(resources.devices);
  CgroupPlan plan;
  switch (host.layout) {
    case CgroupLayout::kV1:
    case CgroupLayout::kHybrid:
      plan_v1(plan, cgroups_path, parts, resources, devices, host);
      break;
    case CgroupLayout::kV2:
      plan_v2(plan, cgroups_path, parts, resources, devices, *host.v2);
      break;
    case CgroupLayout::kNone: {
      const std::set<std::string> needed = needed_controllers(resources);
      if (!needed.empty()) throw_unsupported(*needed.begin());
      if (!devices.allow_by_default) throw_unsupported("devices");
      break;
    }
  }
  return plan;
}

std::string render(const CgroupPlan& plan) {
  std::string text;
  for (const std::string& directory : plan.directories) text += "make " + directory + '\n';
  for (const CgroupWrite& write : plan.writes) {
    const char* const verb = write.kind == Kind::kPlain            ? "write "
                             : write.kind == Kind::kInheritIfEmpty ? "inherit if empty "
                                                                   : "enable what is missing ";
    text += verb + write.file + ": " + write.value + failure_note(write.failure) + '\n';
  }
  if (plan.device_program) {
    text += "attach device program " + plan.clone_into + ": " +
            (plan.device_program->allow_by_default ? "allow all but" : "deny all but");
    const char* separator = " ";
    for (const oci::DeviceRule& rule : plan.device_program->exceptions) {
      text += separator + render(rule);
      separator = ", ";
    }
    text += '\n';
  }
  for (const std::string& file : plan.task_files) text += "join by " + file + '\n';
  if (!plan.clone_into.empty()) text += "clone into " + plan.clone_into + '\n';
  return text;
}

}  // namespace runtime
