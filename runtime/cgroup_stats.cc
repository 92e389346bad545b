#include "runtime/cgroup_stats.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"

namespace runtime {
namespace {

// cpuacct.stat counts in USER_HZ, which is 100 on every architecture that Linux still runs on.
constexpr std::uint64_t kNanosecondsPerTick = 10000000;

std::string text_of(const std::string& file) { return base::find_file(file).value_or(""); }

std::uint64_t flat(std::string_view text, std::string_view name) {
  return find_flat_value(text, name).value_or(0);
}

std::uint64_t parse_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::map<std::string, std::uint64_t> all_flat(const std::string& text) {
  std::map<std::string, std::uint64_t> values;
  for (const std::string& line : lines_of(text)) {
    const std::size_t blank = line.find(' ');
    if (blank != std::string::npos)
      values[line.substr(0, blank)] = parse_number(std::string_view(line).substr(blank + 1));
  }
  return values;
}

void read_v1_cpu(CgroupStatistics::Cpu& cpu, const std::vector<std::string>& paths) {
  if (const auto path = find_path_with(paths, "cpuacct.usage")) {
    cpu.total = number_of(*path + "/cpuacct.usage");
    const std::string stat = text_of(*path + "/cpuacct.stat");
    cpu.user = flat(stat, "user") * kNanosecondsPerTick;
    cpu.system = flat(stat, "system") * kNanosecondsPerTick;
    for (const std::string& word : split_words(text_of(*path + "/cpuacct.usage_percpu"))) {
      cpu.per_cpu.push_back(parse_number(word));
    }
  }
  if (const auto path = find_path_with(paths, "cpu.shares")) {
    const std::string stat = text_of(*path + "/cpu.stat");
    cpu.periods = flat(stat, "nr_periods");
    cpu.throttled_periods = flat(stat, "nr_throttled");
    cpu.throttled_time = flat(stat, "throttled_time");
  }
}

void read_v2_cpu(CgroupStatistics::Cpu& cpu, const std::string& path) {
  const std::string stat = text_of(path + "/cpu.stat");
  cpu.total = flat(stat, "usage_usec") * 1000;
  cpu.user = flat(stat, "user_usec") * 1000;
  cpu.system = flat(stat, "system_usec") * 1000;
  cpu.periods = flat(stat, "nr_periods");
  cpu.throttled_periods = flat(stat, "nr_throttled");
  cpu.throttled_time = flat(stat, "throttled_usec") * 1000;
}

void read_v1_memory(CgroupStatistics::Memory& memory, const std::string& path) {
  memory.usage = number_of(path + "/memory.usage_in_bytes");
  memory.max_usage = number_of(path + "/memory.max_usage_in_bytes");
  memory.failures = number_of(path + "/memory.failcnt");
  memory.limit = number_of(path + "/memory.limit_in_bytes");
  memory.swap_usage = number_of(path + "/memory.memsw.usage_in_bytes");
  memory.swap_limit = number_of(path + "/memory.memsw.limit_in_bytes");
  memory.details = all_flat(text_of(path + "/memory.stat"));
}

void read_v2_memory(CgroupStatistics::Memory& memory, const std::string& path) {
  memory.usage = number_of(path + "/memory.current");
  memory.max_usage = number_of(path + "/memory.peak");
  memory.limit = number_of(path + "/memory.max");
  memory.swap_usage = number_of(path + "/memory.swap.current");
  memory.swap_limit = number_of(path + "/memory.swap.max");
  memory.failures = flat(text_of(path + "/memory.events"), "max");
  memory.details = all_flat(text_of(path + "/memory.stat"));
}

CgroupStatistics::BlockIo& device_of(std::vector<CgroupStatistics::BlockIo>& devices,
                                     std::string_view name) {
  const std::size_t colon = name.find(':');
  const std::uint64_t major = parse_number(name.substr(0, colon));
  const std::uint64_t minor =
      colon == std::string_view::npos ? 0 : parse_number(name.substr(colon + 1));
  for (auto& device : devices) {
    if (device.major == major && device.minor == minor) return device;
  }
  auto& device = devices.emplace_back();
  device.major = major;
  device.minor = minor;
  return device;
}

// "8:0 Read 4096"
void read_v1_block_io(std::vector<CgroupStatistics::BlockIo>& devices, const std::string& path) {
  const auto read = [&](const std::string& file, std::uint64_t CgroupStatistics::BlockIo::*reads,
                        std::uint64_t CgroupStatistics::BlockIo::*writes) {
    for (const std::string& line : lines_of(text_of(path + file))) {
      const auto words = split_words(line);
      if (words.size() != 3 || words[0].find(':') == std::string::npos) continue;
      if (words[1] == "Read") device_of(devices, words[0]).*reads = parse_number(words[2]);
      if (words[1] == "Write") device_of(devices, words[0]).*writes = parse_number(words[2]);
    }
  };
  using BlockIo = CgroupStatistics::BlockIo;
  read("/blkio.throttle.io_service_bytes_recursive", &BlockIo::read_bytes, &BlockIo::write_bytes);
  read("/blkio.throttle.io_serviced_recursive", &BlockIo::read_operations,
       &BlockIo::write_operations);
}

// "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0"
void read_v2_block_io(std::vector<CgroupStatistics::BlockIo>& devices, const std::string& path) {
  for (const std::string& line : lines_of(text_of(path + "/io.stat"))) {
    const auto words = split_words(line);
    if (words.size() < 2) continue;
    auto& device = device_of(devices, words[0]);
    for (const std::string& word : words) {
      const std::string_view value = std::string_view(word).substr(word.find('=') + 1);
      if (word.starts_with("rbytes=")) device.read_bytes = parse_number(value);
      if (word.starts_with("wbytes=")) device.write_bytes = parse_number(value);
      if (word.starts_with("rios=")) device.read_operations = parse_number(value);
      if (word.starts_with("wios=")) device.write_operations = parse_number(value);
    }
  }
}

}  // namespace

std::uint64_t CgroupStatistics::Memory::working_set() const {
  for (const char* name : {"total_inactive_file", "inactive_file"}) {  // v1, v2
    const auto found = details.find(name);
    if (found != details.end()) return usage > found->second ? usage - found->second : usage;
  }
  return usage;
}

std::uint64_t count_oom_kills(const std::vector<std::string>& paths) {
  if (const auto v1 = find_path_with(paths, "memory.oom_control")) {
    return flat(text_of(*v1 + "/memory.oom_control"), "oom_kill");
  }
  if (const auto v2 = find_path_with(paths, "memory.events")) {
    return flat(text_of(*v2 + "/memory.events"), "oom_kill");
  }
  return 0;
}

CgroupStatistics read_cgroup_statistics(const std::vector<std::string>& paths) {
  CgroupStatistics statistics;
  statistics.oom_kills = count_oom_kills(paths);
  if (const auto path = find_path_with(paths, "pids.max")) {
    statistics.pids.current = number_of(*path + "/pids.current");
    statistics.pids.limit = number_of(*path + "/pids.max");
  }
  if (paths.size() == 1 && is_cgroup2(paths.front())) {
    read_v2_cpu(statistics.cpu, paths.front());
    read_v2_memory(statistics.memory, paths.front());
    read_v2_block_io(statistics.block_io, paths.front());
    return statistics;
  }
  read_v1_cpu(statistics.cpu, paths);
  if (const auto path = find_path_with(paths, "memory.limit_in_bytes"))
    read_v1_memory(statistics.memory, *path);
  if (const auto path = find_path_with(paths, "blkio.reset_stats"))
    read_v1_block_io(statistics.block_io, *path);
  return statistics;
}

}  // namespace runtime
