#include "engine/statistics.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/events.h"
#include "engine/reconcile.h"
#include "engine/run_directory.h"
#include "runtime/cgroup_stats.h"
#include "runtime/container.h"

namespace engine {
namespace {

constexpr std::size_t kMostProcessText = 64U << 20U;

std::vector<std::string> fields_of(std::string_view line, std::size_t most) {
  std::vector<std::string> fields;
  while (true) {
    const std::size_t start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos) return fields;
    line.remove_prefix(start);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    if (fields.size() + 1 == most) {
      fields.emplace_back(line);
      return fields;
    }
    fields.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

template <class Number>
bool read_field(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string run_ps(const std::vector<std::string>& words) {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  const base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  base::SpawnOptions options;
  for (const char* path : {"/bin/ps", "/usr/bin/ps"}) {
    if (options.program.empty() && access(path, X_OK) == 0) options.program = path;
  }
  if (options.program.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported, "top: this host has no ps (procps)");
  }
  options.arguments = {"ps"};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  options.descriptors = {{-1, 0}, {write_end.get(), 1}, {write_end.get(), 2}};
  const pid_t pid = base::spawn(options);
  write_end.reset();
  std::string text = base::read_fd(read_end.get(), kMostProcessText);
  if (base::wait_for_child(pid) != 0) {
    throw base::Error(base::ErrorKind::kInvalid, "ps: " + text.substr(0, text.find('\n')));
  }
  return text;
}

}  // namespace

LinkBytes parse_link_bytes(std::string_view net_dev) {
  LinkBytes bytes;
  while (!net_dev.empty()) {
    const std::size_t end = std::min(net_dev.find('\n'), net_dev.size());
    const std::string_view line = net_dev.substr(0, end);
    net_dev.remove_prefix(std::min(end + 1, net_dev.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(line.find_first_not_of(' '));
    if (name.starts_with("lo:")) continue;
    // Eight numbers received, then eight sent; proc(5).
    const auto numbers = fields_of(line.substr(colon + 1), 0);
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    if (numbers.size() < 9 || !read_field(numbers[0], received) || !read_field(numbers[8], sent)) {
      continue;
    }
    bytes.received += received;
    bytes.sent += sent;
  }
  return bytes;
}

std::optional<UsageSample> sample_usage(const Config& config, const ContainerInfo& info) {
  if (!has_process(info.row.status)) return std::nullopt;
  try {
    const RunDirectory directory(config.state, info.row.id);
    const runtime::State state = runtime::load_state(directory.runtime());
    const auto used = runtime::read_cgroup_statistics(state.cgroup_paths);
    UsageSample sample;
    timespec time = {};
    clock_gettime(CLOCK_MONOTONIC, &time);
    sample.time = time.tv_sec * 1'000'000'000LL + time.tv_nsec;
    sample.cpu = used.cpu.total;
    sample.memory = used.memory.working_set();
    const std::uint64_t all = machine_memory();
    sample.memory_limit = used.memory.limit == 0 ? all : std::min(used.memory.limit, all);
    for (const auto& device : used.block_io) {
      sample.read += device.read_bytes;
      sample.written += device.write_bytes;
    }
    sample.processes = used.pids.current;
    if (info.options.network != NetworkMode::kHost) {
      const std::string file = "/proc/" + std::to_string(info.row.init.pid) + "/net/dev";
      const LinkBytes links = parse_link_bytes(base::find_file(file).value_or(""));
      sample.received = links.received;
      sample.sent = links.sent;
    }
    return sample;
  } catch (const base::Error&) {  // it ended just now
    return std::nullopt;
  }
}

double cpu_percent(const UsageSample& before, const UsageSample& after) {
  if (after.time <= before.time || after.cpu < before.cpu) return 0;
  return 100.0 * static_cast<double>(after.cpu - before.cpu) /
         static_cast<double>(after.time - before.time);
}

ProcessTable pick_processes(std::string_view ps_output, const std::vector<pid_t>& wanted) {
  ProcessTable table;
  std::size_t pid_column = 0;
  while (!ps_output.empty()) {
    const std::size_t end = std::min(ps_output.find('\n'), ps_output.size());
    const std::string_view line = ps_output.substr(0, end);
    ps_output.remove_prefix(std::min(end + 1, ps_output.size()));
    if (table.titles.empty()) {
      table.titles = fields_of(line, 0);
      const auto found = std::find(table.titles.begin(), table.titles.end(), "PID");
      if (found == table.titles.end()) {
        throw base::Error(base::ErrorKind::kInvalid, "Couldn't find PID field in ps output");
      }
      pid_column = static_cast<std::size_t>(found - table.titles.begin());
      continue;
    }
    std::vector<std::string> cells = fields_of(line, table.titles.size());
    pid_t pid = 0;
    if (cells.size() <= pid_column || !read_field(cells[pid_column], pid)) continue;
    if (std::find(wanted.begin(), wanted.end(), pid) == wanted.end()) continue;
    cells.resize(table.titles.size());
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ProcessTable list_container_processes(Engine& engine, std::string_view name_or_id,
                                      const std::vector<std::string>& ps_words) {
  const ContainerInfo info = engine.load_container(name_or_id);
  if (!has_process(info.row.status)) {
    throw base::Error(base::ErrorKind::kConflict, "Container " + info.row.id + " is not running");
  }
  const RunDirectory directory(engine.config().state, info.row.id);
  const std::vector<pid_t> pids = runtime::list_processes(directory.runtime());
  ProcessTable table =
      pick_processes(run_ps(ps_words.empty() ? std::vector<std::string>{"-ef"} : ps_words), pids);
  add_container_event(engine.store(), info.row, "top");
  return table;
}

}  // namespace engine
