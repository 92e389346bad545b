#include "runtime/resctrl.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <mntent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/unique_fd.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::size_t kLargestFile = 1U << 20U;

std::string_view trim(std::string_view line) {
  while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
  return line;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    if (!line.empty()) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The class without an id is called as the container is; "/" is the default class.
std::string class_path_of(const std::string& clos_id, const std::string& id,
                          const std::string& root) {
  if (clos_id == "/") return root;
  const std::string& name = clos_id.empty() ? id : clos_id;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    throw Error(ErrorKind::kInvalid,
                "linux.intelRdt.closID: \"" + name + "\" is no name of a class");
  }
  return root + "/" + name;
}

void check_mem_bw_schema(const std::string& schema, const char* what) {
  if (schema.empty()) return;
  if (!schema.starts_with("MB:") || schema.find('\n') != std::string::npos) {
    throw Error(ErrorKind::kInvalid, std::string(what) + ": one line that begins with MB:");
  }
}

// See config-linux.md, "IntelRdt": lines for memory bandwidth count only in memBwSchema.
std::vector<std::string> combine(const oci::IntelRdt& rdt) {
  std::vector<std::string> lines = lines_of(rdt.l3_cache_schema);
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("MB:"); });
  if (!rdt.mem_bw_schema.empty()) lines.push_back(rdt.mem_bw_schema);
  for (const std::string& line : rdt.schemata) {
    if (line.find('\n') != std::string::npos) {
      throw Error(ErrorKind::kInvalid, "linux.intelRdt.schemata: an entry is one line");
    }
    lines.push_back(line);
  }
  return lines;
}

// As the kernel names its caches and controllers: "L3:0=ff" is of "L3".
std::string find_schema(const std::vector<std::string>& lines, std::string_view kind) {
  for (const std::string& line : lines) {
    if (line.starts_with(kind)) return line;
  }
  return {};
}

// Each line alone, so that the kernel's word is about that line; info/last_cmd_status tells it.
void write_schemata(const ResctrlGroup& group, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    try {
      base::write_all(
          base::open_file(group.class_path + "/schemata", O_WRONLY | O_CREAT | O_APPEND, 0644)
              .get(),
          line + "\n");
    } catch (const Error& error) {
      std::string status =
          base::find_file(group.root + "/info/last_cmd_status", kLargestFile).value_or("");
      while (status.ends_with('\n')) status.pop_back();
      throw Error(error.kind(),
                  "linux.intelRdt: write \"" + line + "\": " + error.what() +
                      (status.empty() ? "" : " (" + status + ")"),
                  error.errno_value());
    }
  }
}

bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void make_class(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return;
  const int error = errno;  // ENOSPC: the processor has no class left
  base::throw_errno("linux.intelRdt: make " + path, error);
}

void add_task(const std::string& directory, pid_t pid) {
  try {
    base::write_all(
        base::open_file(directory + "/tasks", O_WRONLY | O_CREAT | O_APPEND, 0644).get(),
        std::to_string(pid));
  } catch (const Error& error) {
    if (error.errno_value() != ESRCH) throw;
  }
}

std::uint64_t number_in(const std::string& file) {
  const std::string text = base::find_file(file, kLargestFile).value_or("");
  std::uint64_t value = 0;
  return std::sscanf(text.c_str(), "%lu", &value) == 1 ? value : 0;
}

std::string word_in(const std::string& file) {
  const auto lines = lines_of(base::find_file(file, kLargestFile).value_or(""));
  return lines.empty() ? std::string() : lines.front();
}

ResctrlStatistics::Domain read_domain(const std::string& directory) {
  ResctrlStatistics::Domain domain;
  domain.has_occupancy = is_there(directory + "/llc_occupancy");
  domain.has_bandwidth = is_there(directory + "/mbm_total_bytes");
  domain.llc_occupancy = number_in(directory + "/llc_occupancy");
  domain.mbm_total_bytes = number_in(directory + "/mbm_total_bytes");
  domain.mbm_local_bytes = number_in(directory + "/mbm_local_bytes");
  return domain;
}

std::vector<ResctrlStatistics::Domain> read_domains(const std::string& monitor) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : base::fs::directory_iterator(monitor + "/mon_data", none)) {
    if (entry.path().filename().string().starts_with("mon_L3_")) names.push_back(entry.path());
  }
  std::sort(names.begin(), names.end());
  std::vector<ResctrlStatistics::Domain> domains;
  domains.reserve(names.size());
  for (const std::string& name : names) domains.push_back(read_domain(name));
  return domains;
}

}  // namespace

std::string find_resctrl() {
  const base::CHandle<FILE, endmntent> mounts(setmntent("/proc/self/mounts", "re"));
  if (!mounts) return {};
  while (const mntent* const entry = getmntent(mounts.get())) {
    if (std::string_view(entry->mnt_type) == "resctrl") return entry->mnt_dir;
  }
  return {};
}

ResctrlPlan plan_resctrl(const oci::IntelRdt& rdt, const std::string& id, const std::string& root) {
  if (root.empty()) {
    throw Error(ErrorKind::kUnsupported,
                "linux.intelRdt: no resctrl file system is mounted on this host");
  }
  check_mem_bw_schema(rdt.mem_bw_schema, "linux.intelRdt.memBwSchema");
  ResctrlPlan plan;
  plan.group.root = root;
  plan.group.class_path = class_path_of(rdt.clos_id, id, root);
  plan.schemata = combine(rdt);
  plan.group.owns_class = rdt.clos_id.empty();
  plan.must_exist = !rdt.clos_id.empty() && plan.schemata.empty();
  if (rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm) {
    plan.group.monitor = plan.group.class_path + "/mon_groups/" + id;
  }
  return plan;
}

std::string render(const ResctrlPlan& plan) {
  std::string text =
      (plan.must_exist ? "use resctrl " : "make resctrl ") + plan.group.class_path + "\n";
  for (const std::string& line : plan.schemata) {
    text += "write \"" + line + "\" to " + plan.group.class_path + "/schemata\n";
  }
  if (!plan.group.monitor.empty()) text += "make resctrl " + plan.group.monitor + "\n";
  return text;
}

void check_resctrl(const ResctrlPlan& plan) {
  const ResctrlGroup& group = plan.group;
  const bool exists = is_there(group.class_path);
  if (plan.must_exist && !exists) {
    throw Error(ErrorKind::kNotFound,
                "linux.intelRdt.closID: " + group.class_path +
                    " does not exist, and no limits are given to make it with");
  }
  if (group.owns_class && exists) {
    throw Error(ErrorKind::kConflict, "linux.intelRdt: " + group.class_path + " exists already");
  }
  if (!group.monitor.empty() && is_there(group.monitor)) {
    throw Error(ErrorKind::kConflict, "linux.intelRdt: " + group.monitor + " exists already");
  }
  if (!exists || plan.schemata.empty()) return;
  const auto present = lines_of(base::read_file(group.class_path + "/schemata", kLargestFile));
  for (const std::string& line : plan.schemata) {
    if (std::find(present.begin(), present.end(), line) == present.end()) {
      throw Error(ErrorKind::kConflict, "linux.intelRdt: " + group.class_path +
                                            " is used by others and has no \"" + line + "\"");
    }
  }
}

void apply_resctrl(const ResctrlPlan& plan) {
  const ResctrlGroup& group = plan.group;
  const bool exists = is_there(group.class_path);
  if (!exists) {
    make_class(group.class_path);
    write_schemata(group, plan.schemata);
  }
  if (!group.monitor.empty()) make_class(group.monitor);
}

void join_resctrl(const ResctrlGroup& group, pid_t pid) {
  if (group.root.empty()) return;
  // A monitoring group only takes in members of its class.
  add_task(group.class_path, pid);
  if (!group.monitor.empty()) add_task(group.monitor, pid);
}

void update_resctrl(const ResctrlGroup& group, const std::string& l3_cache_schema,
                    const std::string& mem_bw_schema) {
  if (group.root.empty()) {
    throw Error(ErrorKind::kConflict, "the container has no linux.intelRdt");
  }
  check_mem_bw_schema(mem_bw_schema, "memory bandwidth schema");
  write_schemata(group,
                 combine({.l3_cache_schema = l3_cache_schema, .mem_bw_schema = mem_bw_schema}));
}

void remove_resctrl(const ResctrlGroup& group) {
  const auto remove = [](const std::string& path) {
    if (rmdir(path.c_str()) != 0 && errno != ENOENT) base::throw_errno("remove " + path);
  };
  if (group.root.empty()) return;
  if (!group.monitor.empty()) remove(group.monitor);
  if (group.owns_class) remove(group.class_path);
}

ResctrlStatistics read_resctrl(const ResctrlGroup& group) {
  ResctrlStatistics statistics;
  const std::string info = group.root + "/info";
  const auto schemata = [](const std::string& directory) {
    return lines_of(base::find_file(directory + "/schemata", kLargestFile).value_or(""));
  };
  const auto root = schemata(group.root);
  const auto own = schemata(group.class_path);
  statistics.l3_schema_root = find_schema(root, "L3");
  statistics.l3_schema = find_schema(own, "L3");
  statistics.mem_bw_schema_root = find_schema(root, "MB");
  statistics.mem_bw_schema = find_schema(own, "MB");
  // With code and data prioritised the kernel has L3CODE and L3DATA instead.
  const std::string l3 = info + (is_there(info + "/L3") ? "/L3" : "/L3CODE");
  statistics.cbm_mask = word_in(l3 + "/cbm_mask");
  statistics.min_cbm_bits = number_in(l3 + "/min_cbm_bits");
  statistics.l3_closids = number_in(l3 + "/num_closids");
  const std::string mb = info + "/MB";
  statistics.has_mem_bw = is_there(mb);
  statistics.bandwidth_gran = number_in(mb + "/bandwidth_gran");
  statistics.delay_linear = number_in(mb + "/delay_linear");
  statistics.min_bandwidth = number_in(mb + "/min_bandwidth");
  statistics.mem_bw_closids = number_in(mb + "/num_closids");
  statistics.domains = read_domains(group.monitor.empty() ? group.class_path : group.monitor);
  return statistics;
}

}  // namespace runtime
