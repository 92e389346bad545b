// stats and top: what running containers use, and their processes.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "engine/statistics.h"

namespace cli {
namespace {

using engine::UsageSample;

// docker's units.HumanSizeWithPrecision(size, 3).
std::string short_size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3g%s", value, kUnits.at(unit));
  return text;
}

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%%", value);
  return text;
}

struct Usage {
  UsageSample before, now;
};

nlohmann::json usage_row(const engine::ContainerInfo& info, const std::string& asked,
                         const Usage& usage, bool full) {
  const UsageSample& now = usage.now;
  const double share = now.memory_limit == 0 ? 0
                                             : 100.0 * static_cast<double>(now.memory) /
                                                   static_cast<double>(now.memory_limit);
  return {{"Container", asked},
          {"Name", info.row.name},
          {"ID", full ? info.row.id : info.row.id.substr(0, 12)},
          {"CPUPerc", percent(engine::cpu_percent(usage.before, now))},
          {"MemUsage",
           base::human_size_binary(now.memory) + " / " + base::human_size_binary(now.memory_limit)},
          {"MemPerc", percent(share)},
          {"NetIO", short_size(now.received) + " / " + short_size(now.sent)},
          {"BlockIO", short_size(now.read) + " / " + short_size(now.written)},
          {"PIDs", std::to_string(now.processes)}};
}

const Listing::Headers kUsageHeaders = {{"Container", "CONTAINER"},
                                        {"Name", "NAME"},
                                        {"ID", "CONTAINER ID"},
                                        {"CPUPerc", "CPU %"},
                                        {"MemUsage", "MEM USAGE / LIMIT"},
                                        {"MemPerc", "MEM %"},
                                        {"NetIO", "NET I/O"},
                                        {"BlockIO", "BLOCK I/O"},
                                        {"PIDs", "PIDS"}};

class UsageView {
 public:
  UsageView(engine::Engine& engine, const Words& names, bool all)
      : engine_(engine), names_(names), all_(all) {
    for (const std::string& name : names) engine.load_container(name);  // or a failure
  }

  // Those asked for, with a further sample each; `last_` keeps what the next one is compared with.
  std::vector<std::pair<engine::ContainerInfo, Usage>> take() {
    std::vector<std::pair<engine::ContainerInfo, Usage>> rows;
    std::map<std::string, UsageSample> samples;
    for (engine::ContainerInfo& info : containers()) {
      const auto sample = engine::sample_usage(engine_.config(), info);
      if (!sample && !all_ && names_.empty()) continue;
      Usage usage;
      if (sample) {
        const auto before = last_.find(info.row.id);
        usage = {.before = before == last_.end() ? *sample : before->second, .now = *sample};
        samples[info.row.id] = *sample;
      }
      rows.emplace_back(std::move(info), usage);
    }
    last_ = std::move(samples);
    return rows;
  }

 private:
  std::vector<engine::ContainerInfo> containers() {
    if (names_.empty()) return engine_.list_containers();
    std::vector<engine::ContainerInfo> found;
    for (const std::string& name : names_) {
      if (auto info = engine_.find_container(name)) found.push_back(std::move(*info));
    }
    return found;
  }

  engine::Engine& engine_;
  const Words& names_;
  bool all_;
  std::map<std::string, UsageSample> last_;
};

void sleep_a_second() {
  const timespec second = {.tv_sec = 1, .tv_nsec = 0};
  nanosleep(&second, nullptr);
}

}  // namespace

int run_stats(const Globals& globals, const Words& words) {
  bool all = false;
  bool no_stream = false;
  bool no_trunc = false;
  std::string format;
  const Words names = parse_arguments(
      {.command = "stats",
       .synopsis = "[OPTIONS] [CONTAINER...]",
       .summary = "Display a live stream of container(s) resource usage statistics",
       .min_arguments = 0,
       .max_arguments = kAnyNumber},
      {{"-a,--all", "", "Show all containers (default shows just running)", &all},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format},
       {"--no-stream", "", "Disable streaming stats and only pull the first result", &no_stream},
       {"--no-trunc", "", "Do not truncate output", &no_trunc}},
      words);
  const auto make_listing = [&] {
    return Listing(format,
                   {"ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"},
                   kUsageHeaders);
  };
  make_listing();  // a bad template is refused at once
  engine::Engine engine(globals.config);
  UsageView view(engine, names, all);
  view.take();
  for (;;) {
    sleep_a_second();
    Listing listing = make_listing();
    for (const auto& [info, usage] : view.take()) {
      listing.add(usage_row(info, info.row.id.substr(0, 12), usage, no_trunc));
    }
    if (no_stream) {
      print(listing.render());
      return 0;
    }
    print("\033[2J\033[H" + listing.render());
  }
}

int run_top(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "top",
                       .synopsis = "CONTAINER [ps OPTIONS]",
                       .summary = "Display the running processes of a container",
                       .min_arguments = 1,
                       .max_arguments = kAnyNumber,
                       .flags = Syntax::Flags::kBeforeArguments},
                      {}, words);
  engine::Engine engine(globals.config);
  const engine::ProcessTable table = engine::list_container_processes(
      engine, arguments[0], {arguments.begin() + 1, arguments.end()});
  // docker's tabwriter: columns of at least 20, three apart.
  std::vector<std::size_t> widths(table.titles.size(), 20);
  const auto widen = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths[i] = std::max(widths[i], cells[i].size() + 3);
    }
  };
  widen(table.titles);
  for (const auto& row : table.rows) widen(row);
  const auto show = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line += cells[i];
      if (i + 1 < cells.size()) line.append(widths[i] - cells[i].size(), ' ');
    }
    print(line + "\n");
  };
  show(table.titles);
  for (const auto& row : table.rows) show(row);
  return 0;
}

}  // namespace cli
