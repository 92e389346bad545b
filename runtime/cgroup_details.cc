#include "runtime/cgroup_details.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <filesystem>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/files.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"

namespace runtime {
namespace {

namespace fs = std::filesystem;
using Usage = CgroupDetails::Usage;

template <class T>
T parse_value(std::string_view text) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// memory.limit_in_bytes, memory.memsw.usage_in_bytes, …
std::optional<Usage> read_v1_usage(const std::string& prefix) {
  const auto limit = find_number(prefix + "limit_in_bytes");
  if (!limit) return std::nullopt;
  return Usage{.limit = *limit,
               .usage = number_of(prefix + "usage_in_bytes"),
               .max = number_of(prefix + "max_usage_in_bytes"),
               .failures = number_of(prefix + "failcnt")};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

// hugetlb.2MB.limit_in_bytes of v1, hugetlb.2MB.max of v2.
void read_huge_pages(CgroupDetails& details, const std::string& path, bool is_v2) {
  constexpr std::string_view kPrefix = "hugetlb.";
  const std::string suffix = is_v2 ? ".max" : ".limit_in_bytes";
  for (const std::string& name : names_in(path)) {
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix) ||
        name.find(".rsvd.") != std::string::npos) {
      continue;
    }
    const std::string base = path + "/" + name.substr(0, name.size() - suffix.size());
    const std::string size =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size());
    if (is_v2) {
      details.huge_pages[size] = {
          .limit = number_of(base + ".max"),
          .usage = number_of(base + ".current"),
          .max = 0,
          .failures =
              find_flat_value(base::find_file(base + ".events").value_or(""), "max").value_or(0)};
    } else if (const auto usage = read_v1_usage(base + ".")) {
      details.huge_pages[size] = *usage;
    }
  }
}

void read_cpuset(CgroupDetails& details, const std::string& path, bool is_v2) {
  const auto list = [&](const char* name) {
    return parse_number_list(base::find_file(path + "/" + name).value_or(""));
  };
  details.cpus = list(is_v2 ? "cpuset.cpus.effective" : "cpuset.cpus");
  details.mems = list(is_v2 ? "cpuset.mems.effective" : "cpuset.mems");
  for (const char* name : {"cpu_exclusive", "mem_exclusive", "mem_hardwall", "memory_migrate",
                           "memory_pressure", "memory_spread_page", "memory_spread_slab",
                           "sched_load_balance", "sched_relax_domain_level"}) {
    const auto text = base::find_file(path + "/cpuset." + name);
    if (text) details.cpuset[name] = static_cast<std::uint64_t>(parse_value<std::int64_t>(*text));
  }
}

void read_v2_pressure(CgroupDetails& details, const std::string& path) {
  for (const char* resource : {"cpu", "memory", "io"}) {
    const auto text = base::find_file(path + "/" + resource + ".pressure");
    if (!text) continue;
    auto lines = parse_pressure(*text);
    if (!lines.empty()) details.pressure[resource] = std::move(lines);
  }
}

std::string cpuset_of_process(pid_t pid) {
  const std::string path = base::find_file("/proc/" + std::to_string(pid) + "/cpuset").value_or("");
  for (const CgroupHierarchy& each : detect_cgroups().v1) {
    if (std::find(each.controllers.begin(), each.controllers.end(), "cpuset") !=
        each.controllers.end())
      return each.mount_point + path.substr(0, path.find('\n'));
  }
  return {};
}

// See memory.rst of cgroup v1, "OOM Control".
void watch_v1(const std::string& path, base::UniqueFd& control, base::UniqueFd& watch) {
  base::UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  base::UniqueFd oom(open((path + "/memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
  const std::string words = std::to_string(event.get()) + " " + std::to_string(oom.get());
  if (!event || !oom || write_cgroup_file(path + "/cgroup.event_control", words) != 0) return;
  control = std::move(oom);
  watch = std::move(event);
}

}  // namespace

std::map<std::string, Pressure> parse_pressure(const std::string& text) {
  std::map<std::string, Pressure> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto words = split_words(std::string_view(text).substr(at, end - at));
    at = end + 1;
    if (words.size() < 5) continue;
    Pressure& pressure = lines[words.front()];
    for (const std::string& word : words) {
      const std::string_view value = std::string_view(word).substr(word.find('=') + 1);
      if (word.starts_with("avg10=")) pressure.avg10 = parse_value<double>(value);
      if (word.starts_with("avg60=")) pressure.avg60 = parse_value<double>(value);
      if (word.starts_with("avg300=")) pressure.avg300 = parse_value<double>(value);
      if (word.starts_with("total=")) pressure.total = parse_value<std::uint64_t>(value);
    }
  }
  return lines;
}

std::vector<unsigned> parse_number_list(const std::string& text) {
  std::vector<unsigned> numbers;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(",\n", at), text.size());
    const std::string_view part = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (part.empty()) continue;
    const std::size_t dash = part.find('-');
    const auto first = parse_value<unsigned>(part.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : parse_value<unsigned>(part.substr(dash + 1));
    for (unsigned number = first; number <= last && numbers.size() < 65536; ++number) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

CgroupDetails read_cgroup_details(const std::vector<std::string>& paths, pid_t init) {
  CgroupDetails details;
  if (paths.size() == 1 && is_cgroup2(paths.front())) {
    read_cpuset(details, paths.front(), true);
    read_huge_pages(details, paths.front(), true);
    read_v2_pressure(details, paths.front());
    return details;
  }
  if (const auto path = find_path_with(paths, "memory.limit_in_bytes")) {
    details.memory_and_swap = read_v1_usage(*path + "/memory.memsw.");
    details.kernel = read_v1_usage(*path + "/memory.kmem.");
    details.kernel_tcp = read_v1_usage(*path + "/memory.kmem.tcp.");
  }
  const auto cpuset = find_path_with(paths, "cpuset.cpus");
  read_cpuset(details, cpuset ? *cpuset : cpuset_of_process(init), false);
  for (const std::string& path : paths) read_huge_pages(details, path, false);
  return details;
}

OomWatch::OomWatch(const std::vector<std::string>& paths)
    : paths_(paths), known_(count_oom_kills(paths)) {
  if (const auto v1 = find_path_with(paths, "memory.oom_control")) {
    watch_v1(*v1, control_, watch_);
  } else if (const auto v2 = find_path_with(paths, "memory.events")) {
    watch_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (watch_) inotify_add_watch(watch_.get(), (*v2 + "/memory.events").c_str(), IN_MODIFY);
  }
}

std::uint64_t OomWatch::count_new() {
  std::array<char, 4096> ignored = {};
  if (watch_ && read(watch_.get(), ignored.data(), ignored.size()) < 0 && errno != EAGAIN) {
    watch_.reset();
  }
  const std::uint64_t now = count_oom_kills(paths_);
  const std::uint64_t added = now > known_ ? now - known_ : 0;
  known_ = std::max(known_, now);
  return added;
}

}  // namespace runtime
