#include <algorithm>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/files.h"
#include "base/split.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"

namespace runtime {
namespace {

// mountinfo writes blank, tab, newline and backslash as \ooo, proc_pid_mountinfo(5).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct CgroupMount {
  std::string root, mount_point;
  bool is_v2 = false;
  std::vector<std::string> options;
};

std::optional<CgroupMount> find_mount(std::string_view line) {
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  const auto after = base::split(line.substr(dash + 3), ' ');  // type, source, super options
  if (after[0] != "cgroup" && after[0] != "cgroup2") return std::nullopt;
  const auto before = base::split(line.substr(0, dash), ' ');
  if (before.size() < 6 || after.size() < 3) return std::nullopt;
  CgroupMount mount{.root = unescape(before[3]),
                    .mount_point = unescape(before[4]),
                    .is_v2 = after[0] == "cgroup2",
                    .options = {}};
  for (const std::string_view option : base::split(after[2], ','))
    mount.options.emplace_back(option);
  return mount;
}

// A hierarchy may be mounted from a group below its root (a container without a cgroup namespace
// sees its own): own paths are then relative to that.
std::string below_root(std::string_view own, const std::string& root) {
  if (root.size() > 1 && own.starts_with(root)) own.remove_prefix(root.size());
  if (own.empty() || own.front() != '/' || own.starts_with("/..")) return "/";
  return std::string(own);
}

// A line of /proc/self/cgroup: "4:cpu,cpuacct:/path", "0::/path" of v2; see cgroups(7).
struct OwnGroup {
  std::string_view names, path;
};
std::optional<OwnGroup> parse_own_group(std::string_view line) {
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  return OwnGroup{.names = line.substr(first + 1, second - first - 1),
                  .path = line.substr(second + 1)};
}

std::optional<std::string> find_own_path(std::string_view self_cgroup,
                                         std::string_view controller) {
  for (const std::string_view line : base::split(self_cgroup, '\n')) {
    const auto group = parse_own_group(line);
    if (!group) continue;
    const auto controllers = base::split(group->names, ',');
    if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) {
      return std::string(group->path);
    }
  }
  return std::nullopt;
}

bool is_known(const std::vector<CgroupHierarchy>& hierarchies, const std::string& controller) {
  return std::any_of(hierarchies.begin(), hierarchies.end(), [&](const CgroupHierarchy& one) {
    return std::find(one.controllers.begin(), one.controllers.end(), controller) !=
           one.controllers.end();
  });
}

void add_v1(CgroupHost& host, const CgroupMount& mount, std::string_view self_cgroup) {
  CgroupHierarchy hierarchy{.mount_point = mount.mount_point, .controllers = {}, .own_path = "/"};
  for (const std::string& option : mount.options) {
    const auto own = find_own_path(self_cgroup, option);
    if (!own || is_known(host.v1, option)) continue;  // "rw", "xattr"; or mounted twice
    hierarchy.own_path = below_root(*own, mount.root);
    hierarchy.controllers.push_back(option);
  }
  if (!hierarchy.controllers.empty()) host.v1.push_back(std::move(hierarchy));
}

bool has_real_controller(const CgroupHierarchy& hierarchy) {
  return std::any_of(hierarchy.controllers.begin(), hierarchy.controllers.end(),
                     [](const std::string& name) { return !name.starts_with("name="); });
}

}  // namespace

CgroupHost parse_cgroup_host(std::string_view mountinfo, std::string_view self_cgroup,
                             std::string_view v2_controllers) {
  CgroupHost host;
  for (const std::string_view line : base::split(mountinfo, '\n')) {
    const auto mount = find_mount(line);
    if (!mount) continue;
    if (!mount->is_v2) {
      add_v1(host, *mount, self_cgroup);
    } else if (!host.v2) {
      host.v2 = CgroupHierarchy{
          .mount_point = mount->mount_point,
          .controllers = split_words(v2_controllers),
          .own_path = below_root(find_own_path(self_cgroup, "").value_or("/"), mount->root)};
    }
  }
  const bool v1 = std::any_of(host.v1.begin(), host.v1.end(), has_real_controller);
  if (v1) {
    host.layout = host.v2 ? CgroupLayout::kHybrid : CgroupLayout::kV1;
  } else if (host.v2) {
    host.layout = CgroupLayout::kV2;
  }
  return host;
}

namespace {

constexpr char kCgroupRoot[] = "/sys/fs/cgroup";
constexpr std::uint64_t kInitialCgroupNamespace = 0xeffffffb;  // its inode on nsfs, in every kernel

// Whether the top group of a whole hierarchy is mounted there.
bool is_hierarchy(const std::string& path, long type) {
  struct statfs file_system = {};
  struct stat info = {};
  return statfs(path.c_str(), &file_system) == 0 && file_system.f_type == type &&
         stat(path.c_str(), &info) == 0 && info.st_ino == 1;  // the first of a kernfs
}

std::vector<std::string> to_strings(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}

// One line of /proc/self/cgroup whose hierarchy lies where all of them lie by convention; false
// where it must be looked for.
bool add_conventional(CgroupHost& host, std::string_view line) {
  const auto group = parse_own_group(line);
  if (!group) return false;
  const std::string_view names = group->names;
  CgroupHierarchy hierarchy{.own_path = below_root(group->path, "/")};
  if (names.empty()) {
    hierarchy.mount_point = std::string(kCgroupRoot) + "/unified";
    if (is_hierarchy(hierarchy.mount_point, CGROUP2_SUPER_MAGIC)) host.v2 = std::move(hierarchy);
    return true;
  }
  constexpr std::string_view kNamed = "name=";
  const bool is_named = names.starts_with(kNamed);
  hierarchy.mount_point =
      std::string(kCgroupRoot) + "/" + std::string(is_named ? names.substr(kNamed.size()) : names);
  if (!is_hierarchy(hierarchy.mount_point, CGROUP_SUPER_MAGIC)) return is_named;
  hierarchy.controllers = to_strings(base::split(names, ','));
  host.v1.push_back(std::move(hierarchy));
  return true;
}

// The answer of mountinfo without mountinfo, which takes the longer the more is mounted: where the
// convention (file-hierarchy(7), cgroups(7)) is kept and we see the hierarchies whole.
std::optional<CgroupHost> find_conventional(std::string_view self_cgroup) {
  struct stat own_namespace = {};
  if (stat("/proc/self/ns/cgroup", &own_namespace) != 0 ||
      own_namespace.st_ino != kInitialCgroupNamespace) {
    return std::nullopt;
  }
  CgroupHost host;
  if (is_hierarchy(kCgroupRoot, CGROUP2_SUPER_MAGIC)) {
    host.layout = CgroupLayout::kV2;
    host.v2 =
        CgroupHierarchy{.mount_point = kCgroupRoot,
                        .own_path = below_root(find_own_path(self_cgroup, "").value_or("/"), "/")};
    return host;
  }
  for (const std::string_view line : base::split(self_cgroup, '\n')) {
    if (!line.empty() && !add_conventional(host, line)) return std::nullopt;
  }
  if (!std::any_of(host.v1.begin(), host.v1.end(), has_real_controller)) return std::nullopt;
  host.layout = host.v2 ? CgroupLayout::kHybrid : CgroupLayout::kV1;
  return host;
}

}  // namespace

CgroupHost detect_cgroups() {
  const auto self_cgroup = base::find_file("/proc/self/cgroup");  // absent: kernel without cgroups
  auto found = find_conventional(self_cgroup.value_or(""));
  CgroupHost host = found ? *std::move(found)
                          : parse_cgroup_host(base::read_file("/proc/self/mountinfo"),
                                              self_cgroup.value_or(""), "");
  if (host.v2) {
    const auto file = base::find_file(host.v2->mount_point + "/cgroup.controllers");
    host.v2->controllers = split_words(file.value_or(""));
  }
  return host;
}

}  // namespace runtime
