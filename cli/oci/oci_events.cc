#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <poll.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/process.h"
#include "base/time.h"
#include "cli/oci/oci_command.h"
#include "runtime/cgroup_details.h"
#include "runtime/cgroup_stats.h"
#include "runtime/state.h"

namespace cli_oci {
namespace {

using Json = nlohmann::ordered_json;
using runtime::CgroupDetails;
using runtime::CgroupStatistics;

std::uint64_t detail(const CgroupStatistics::Memory& memory, const char* v1, const char* v2) {
  for (const char* name : {v1, v2}) {
    if (const auto found = memory.details.find(name); found != memory.details.end())
      return found->second;
  }
  return 0;
}

// As the kernel of v1 spells "no limit": the last whole page.
std::uint64_t limit_of(std::uint64_t limit, bool is_v2) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool unlimited = limit == std::numeric_limits<std::uint64_t>::max();
  return unlimited && !is_v2 ? most / page * page : limit;
}

Json usage_json(const CgroupDetails::Usage& usage, bool is_v2) {
  Json json = {{"limit", limit_of(usage.limit, is_v2)}};
  if (usage.usage > 0) json["usage"] = usage.usage;
  if (usage.max > 0) json["max"] = usage.max;
  json["failcnt"] = usage.failures;
  return json;
}

void add_pressure(Json& json, const CgroupDetails& details, const char* resource) {
  const auto found = details.pressure.find(resource);
  if (found == details.pressure.end()) return;
  for (const auto& [kind, each] : found->second) {
    json["psi"][kind] = {{"avg10", each.avg10},
                         {"avg60", each.avg60},
                         {"avg300", each.avg300},
                         {"total", each.total}};
  }
}

Json memory_json(const CgroupStatistics::Memory& memory, const CgroupDetails& details, bool is_v2) {
  Json json = Json::object();
  if (const std::uint64_t cache = detail(memory, "cache", "file"); cache > 0) json["cache"] = cache;
  json["usage"] = usage_json({.limit = memory.limit,
                              .usage = memory.usage,
                              .max = memory.max_usage,
                              .failures = memory.failures},
                             is_v2);
  const CgroupDetails::Usage swap = details.memory_and_swap.value_or(CgroupDetails::Usage{
      .limit = memory.swap_limit, .usage = memory.swap_usage, .max = 0, .failures = 0});
  json["swap"] = usage_json(swap, is_v2);
  if (details.kernel) json["kernel"] = usage_json(*details.kernel, is_v2);
  if (details.kernel_tcp) json["kernelTCP"] = usage_json(*details.kernel_tcp, is_v2);
  json["raw"] = memory.details;
  add_pressure(json, details, "memory");
  return json;
}

Json cpu_json(const CgroupStatistics::Cpu& cpu, const CgroupDetails& details) {
  Json usage = {{"total", cpu.total}};
  if (!cpu.per_cpu.empty()) usage["percpu"] = cpu.per_cpu;
  usage["kernel"] = cpu.system;
  usage["user"] = cpu.user;
  Json throttling = Json::object();
  if (cpu.periods > 0) throttling["periods"] = cpu.periods;
  if (cpu.throttled_periods > 0) throttling["throttledPeriods"] = cpu.throttled_periods;
  if (cpu.throttled_time > 0) throttling["throttledTime"] = cpu.throttled_time;
  Json json = {{"usage", usage}, {"throttling", throttling}};
  add_pressure(json, details, "cpu");
  return json;
}

Json cpuset_json(const CgroupDetails& details) {
  Json json = Json::object();
  if (!details.cpus.empty()) json["cpus"] = details.cpus;
  if (!details.mems.empty()) json["mems"] = details.mems;
  for (const auto& [name, value] : details.cpuset) {
    json[name] = static_cast<std::int64_t>(value);
  }
  return json;
}

Json block_io_json(const std::vector<CgroupStatistics::BlockIo>& devices,
                   const CgroupDetails& details) {
  Json bytes = Json::array();
  Json operations = Json::array();
  for (const auto& device : devices) {
    const auto add = [&](Json& list, const char* kind, std::uint64_t value) {
      list.push_back(
          {{"major", device.major}, {"minor", device.minor}, {"op", kind}, {"value", value}});
    };
    add(bytes, "Read", device.read_bytes);
    add(bytes, "Write", device.write_bytes);
    add(operations, "Read", device.read_operations);
    add(operations, "Write", device.write_operations);
  }
  Json json = Json::object();
  if (!bytes.empty()) {
    json["ioServiceBytesRecursive"] = bytes;
    json["ioServicedRecursive"] = operations;
  }
  add_pressure(json, details, "io");
  return json;
}

Json resctrl_json(const runtime::ResctrlGroup& group) {
  Json json = Json::object();
  if (group.root.empty()) return json;
  const runtime::ResctrlStatistics statistics = runtime::read_resctrl(group);
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) json[name] = text;
  };
  if (!statistics.cbm_mask.empty()) {
    json["l3_cache_info"] = {{"cbm_mask", statistics.cbm_mask},
                             {"min_cbm_bits", statistics.min_cbm_bits},
                             {"num_closids", statistics.l3_closids}};
  }
  add("l3_cache_schema_root", statistics.l3_schema_root);
  add("l3_cache_schema", statistics.l3_schema);
  if (statistics.has_mem_bw) {
    json["mem_bw_info"] = {{"bandwidth_gran", statistics.bandwidth_gran},
                           {"delay_linear", statistics.delay_linear},
                           {"min_bandwidth", statistics.min_bandwidth},
                           {"num_closids", statistics.mem_bw_closids}};
  }
  add("mem_bw_schema_root", statistics.mem_bw_schema_root);
  add("mem_bw_schema", statistics.mem_bw_schema);
  for (const auto& domain : statistics.domains) {
    if (domain.has_bandwidth) {
      json["mbm_stats"].push_back({{"mbm_total_bytes", domain.mbm_total_bytes},
                                   {"mbm_local_bytes", domain.mbm_local_bytes}});
    }
    if (domain.has_occupancy) {
      json["cmt_stats"].push_back({{"llc_occupancy", domain.llc_occupancy}});
    }
  }
  return json;
}

// runc's shape of an event.
std::string stats_event(const runtime::State& state, const runtime::ResctrlGroup& resctrl) {
  const std::vector<std::string>& paths = state.cgroup_paths;
  const CgroupStatistics statistics = runtime::read_cgroup_statistics(paths);
  const CgroupDetails details = runtime::read_cgroup_details(paths, state.init.pid);
  const bool is_v2 = paths.size() == 1 && statistics.cpu.per_cpu.empty();
  Json pids = {{"current", statistics.pids.current}};
  if (statistics.pids.limit != std::numeric_limits<std::uint64_t>::max())
    pids["limit"] = statistics.pids.limit;
  Json huge_pages = Json::object();
  for (const auto& [size, usage] : details.huge_pages) huge_pages[size] = usage_json(usage, is_v2);
  const Json event = {{"type", "stats"},
                      {"id", state.id},
                      {"data",
                       {{"cpu", cpu_json(statistics.cpu, details)},
                        {"cpuset", cpuset_json(details)},
                        {"memory", memory_json(statistics.memory, details, is_v2)},
                        {"pids", pids},
                        {"blkio", block_io_json(statistics.block_io, details)},
                        {"hugetlb", huge_pages},
                        {"intel_rdt", resctrl_json(resctrl)},
                        {"network_interfaces", nullptr}}}};
  return event.dump() + "\n";
}

// The kernel tells of an OOM before it has chosen and counted what it kills.
constexpr std::int64_t kLookAgainMs = 10, kOomPatienceMs = 1000;

// Until the container ends: usage at every interval, and a word at once when the OOM killer came.
void print_events(const runtime::State& state, const runtime::ResctrlGroup& resctrl,
                  int interval_ms) {
  const auto process = base::open_process(state.init);
  if (!process) return;
  runtime::OomWatch oom(state.cgroup_paths);
  const auto print_ooms = [&] {
    const std::uint64_t count = oom.count_new();
    for (std::uint64_t left = count; left > 0; --left) {
      print(Json({{"type", "oom"}, {"id", state.id}}).dump() + "\n");
    }
    return count > 0;
  };
  const auto now_ms = [] { return base::now() / 1000000; };
  auto next = now_ms() + interval_ms;
  std::int64_t expected_until = 0;  // told of an OOM whose kill is not counted yet
  for (;;) {
    std::array<pollfd, 2> items = {pollfd{.fd = process->get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = oom.fd(), .events = POLLIN, .revents = 0}};
    const auto until_next = std::clamp<std::int64_t>(next - now_ms(), 0, interval_ms);
    const auto wait = expected_until > now_ms() ? std::min(until_next, kLookAgainMs) : until_next;
    if (poll(items.data(), items.size(), static_cast<int>(wait)) < 0 && errno != EINTR) {
      base::throw_errno("poll");
    }
    try {
      if (items[1].revents != 0) expected_until = now_ms() + kOomPatienceMs;
      if (print_ooms()) expected_until = 0;
      if (items[0].revents != 0) return;
      if (now_ms() < next) continue;
      print(stats_event(state, resctrl));
    } catch (const base::Error& error) {
      if (error.errno_value() == ENODEV) return;  // a group that is removed while it is read
      throw;
    }
    next = now_ms() + interval_ms;
  }
}

}  // namespace

int run_events(const Globals& globals, const Words& words) {
  Options app("events", "Prints resource usage of a container as JSON lines");
  std::string id;
  std::string interval = "5s";
  bool once = false;
  app.add("--interval", &interval, "Time between two lines");
  app.add("--stats", &once, "Print one line and end");
  app.add_word("ID", id);
  parse(app, words);
  const auto period = base::parse_duration(interval);
  if (period < 1000000 || period > std::int64_t{86400} * 1000000000) {
    throw base::Error(base::ErrorKind::kInvalid, "--interval: from 1ms to 24h");
  }
  const runtime::State state = load(globals, id);
  if (state.status == runtime::Status::kStopped) {
    throw base::Error(base::ErrorKind::kConflict, "container with id " + id + " is not running");
  }
  const runtime::ResctrlGroup resctrl = runtime::load_record(state_dir_of(globals, id)).resctrl;
  if (once) {
    print(stats_event(state, resctrl));
  } else {
    print_events(state, resctrl, static_cast<int>(period / 1000000));
  }
  return 0;
}

}  // namespace cli_oci
