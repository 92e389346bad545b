#include <limits>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/process.h"
#include "base/time.h"
#include "cli/oci/oci_command.h"
#include "runtime/cgroup_stats.h"

namespace cli_oci {
namespace {

using Json = nlohmann::ordered_json;
using runtime::CgroupStatistics;

std::uint64_t detail(const CgroupStatistics::Memory& memory, const char* v1, const char* v2) {
  for (const char* name : {v1, v2}) {
    if (const auto found = memory.details.find(name); found != memory.details.end())
      return found->second;
  }
  return 0;
}

Json memory_json(const CgroupStatistics::Memory& memory) {
  return {{"cache", detail(memory, "cache", "file")},
          {"usage",
           {{"limit", memory.limit},
            {"usage", memory.usage},
            {"max", memory.max_usage},
            {"failcnt", memory.failures}}},
          {"swap", {{"limit", memory.swap_limit}, {"usage", memory.swap_usage}}},
          {"raw", memory.details}};
}

Json cpu_json(const CgroupStatistics::Cpu& cpu) {
  Json usage = {{"total", cpu.total}};
  if (!cpu.per_cpu.empty()) usage["percpu"] = cpu.per_cpu;
  usage["kernel"] = cpu.system;
  usage["user"] = cpu.user;
  return {{"usage", usage},
          {"throttling",
           {{"periods", cpu.periods},
            {"throttledPeriods", cpu.throttled_periods},
            {"throttledTime", cpu.throttled_time}}}};
}

Json block_io_json(const std::vector<CgroupStatistics::BlockIo>& devices) {
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
  return {{"ioServiceBytesRecursive", bytes}, {"ioServicedRecursive", operations}};
}

// runc's shape of an event.
std::string stats_event(const std::string& id, const CgroupStatistics& statistics) {
  Json pids = {{"current", statistics.pids.current}};
  if (statistics.pids.limit != std::numeric_limits<std::uint64_t>::max())
    pids["limit"] = statistics.pids.limit;
  const Json event = {{"type", "stats"},
                      {"id", id},
                      {"data",
                       {{"cpu", cpu_json(statistics.cpu)},
                        {"memory", memory_json(statistics.memory)},
                        {"pids", pids},
                        {"blkio", block_io_json(statistics.block_io)}}}};
  return event.dump() + "\n";
}

// Until the container ends: usage at every interval, and a word when the OOM killer came.
void print_events(const std::string& id, const runtime::State& state, int interval_ms) {
  const auto process = base::open_process(state.init);
  std::uint64_t oom_kills = runtime::read_cgroup_statistics(state.cgroup_paths).oom_kills;
  while (process && !base::wait_for_exit(process->get(), interval_ms)) {
    const auto statistics = runtime::read_cgroup_statistics(state.cgroup_paths);
    if (statistics.oom_kills > oom_kills) print(Json({{"type", "oom"}, {"id", id}}).dump() + "\n");
    oom_kills = statistics.oom_kills;
    print(stats_event(id, statistics));
  }
}

}  // namespace

int run_events(const Globals& globals, const Words& words) {
  CLI::App app("Prints resource usage of a container as JSON lines");
  app.name("sampan-oci events");
  std::string id;
  std::string interval = "5s";
  bool once = false;
  app.add_option("--interval", interval, "Time between two lines");
  app.add_flag("--stats", once, "Print one line and end");
  app.add_option("ID", id)->required();
  parse(app, words);
  const auto period = base::parse_duration(interval);
  if (period < 1000000 || period > std::int64_t{86400} * 1000000000) {
    throw base::Error(base::ErrorKind::kInvalid, "--interval: from 1ms to 24h");
  }
  const runtime::State state = load(globals, id);
  if (state.status == runtime::Status::kStopped) {
    throw base::Error(base::ErrorKind::kConflict, "container not running: " + id);
  }
  if (once) {
    print(stats_event(id, runtime::read_cgroup_statistics(state.cgroup_paths)));
  } else {
    print_events(id, state, static_cast<int>(period / 1000000));
  }
  return 0;
}

}  // namespace cli_oci
