#include <charconv>
#include <cmath>
#include <unistd.h>

#include "base/files.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

struct Limits {
  std::string file, cpus, mems, memory, memory_swap, memory_reservation, kernel, kernel_tcp;
  std::string l3_cache_schema, mem_bw_schema;
  std::int64_t cpu_quota = 0, cpu_rt_runtime = 0, pids = 0;
  std::uint64_t cpu_period = 0, cpu_share = 0, cpu_rt_period = 0;
  std::optional<std::uint64_t> cpu_burst;
  std::optional<std::int64_t> cpu_idle;
  std::uint16_t blkio_weight = 0;
};

// "52428800", "50M", "1.5GiB", "-1": binary units as runc reads them.
std::optional<std::int64_t> parse_size(const char* option, const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (text == "-1") return -1;
  double number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(static_cast<const char*>(result.ptr), text.data() + text.size());
  while (unit.starts_with(' ')) unit.erase(0, 1);
  constexpr std::string_view kUnits = "bkmgtp";
  const std::size_t power =
      unit.empty()
          ? 0
          : kUnits.find(static_cast<char>(std::tolower(static_cast<unsigned char>(unit[0]))));
  const std::string rest = unit.size() > 1 ? unit.substr(1) : "";
  const bool known =
      power != std::string_view::npos &&
      (rest.empty() || (power > 0 && (rest == "b" || rest == "B" || rest == "iB" || rest == "ib")));
  const double bytes = std::ldexp(number, static_cast<int>(power) * 10);
  if (result.ec != std::errc() || !known || !(bytes >= 0 && bytes < 9.2e18)) {
    throw Error(ErrorKind::kInvalid, std::string(option) + ": invalid size \"" + text + "\"");
  }
  return static_cast<std::int64_t>(bytes);
}

// The file has what linux.resources of config.json has: read by the same parser.
oci::Resources parse_resources(const std::string& file) {
  const std::string text =
      file == "-" ? base::read_fd(STDIN_FILENO, 1U << 20U) : base::read_file(file, 1U << 20U);
  return base::while_doing("resources", [&] {
    return oci::parse_runtime_spec(
               R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"linux":{"resources":)" + text +
               "}}")
        .linux_.resources;
  });
}

// 0 of an option is its default: no change.
template <class To, class From>
void set_unless_zero(std::optional<To>& field, From value) {
  if (value != 0) field = value;
}

oci::Resources resources_from(const Limits& limits) {
  oci::Resources resources;
  resources.memory.limit = parse_size("--memory", limits.memory);
  resources.memory.swap = parse_size("--memory-swap", limits.memory_swap);
  resources.memory.reservation = parse_size("--memory-reservation", limits.memory_reservation);
  resources.memory.kernel = parse_size("--kernel-memory", limits.kernel);
  resources.memory.kernel_tcp = parse_size("--kernel-memory-tcp", limits.kernel_tcp);
  set_unless_zero(resources.cpu.quota, limits.cpu_quota);
  set_unless_zero(resources.cpu.period, limits.cpu_period);
  set_unless_zero(resources.cpu.shares, limits.cpu_share);
  set_unless_zero(resources.cpu.realtime_runtime, limits.cpu_rt_runtime);
  set_unless_zero(resources.cpu.realtime_period, limits.cpu_rt_period);
  resources.cpu.burst = limits.cpu_burst;
  resources.cpu.idle = limits.cpu_idle;
  resources.cpu.cpus = limits.cpus;
  resources.cpu.mems = limits.mems;
  set_unless_zero(resources.pids_limit, limits.pids);
  set_unless_zero(resources.block_io.weight, limits.blkio_weight);
  return resources;
}

void add_options(Options& app, Limits& limits) {
  app.add("-r,--resources", &limits.file,
          "File (or -) with resources as JSON; other options are ignored");
  app.add("--memory", &limits.memory, "Bytes, or with a unit such as M; -1: no limit");
  app.add("--memory-swap", &limits.memory_swap, "Bytes of memory and swap together; -1: no limit");
  app.add("--memory-reservation", &limits.memory_reservation, "Bytes");
  app.add("--kernel-memory", &limits.kernel, "Bytes (cgroup v1)");
  app.add("--kernel-memory-tcp", &limits.kernel_tcp, "Bytes (cgroup v1)");
  app.add("--cpu-quota", &limits.cpu_quota, "Microseconds in a period");
  app.add("--cpu-period", &limits.cpu_period, "Microseconds");
  app.add("--cpu-share", &limits.cpu_share, "Relative weight");
  app.add("--cpu-burst", &limits.cpu_burst, "Microseconds");
  app.add("--cpu-idle", &limits.cpu_idle, "0 or 1");
  app.add("--cpu-rt-runtime", &limits.cpu_rt_runtime, "Microseconds");
  app.add("--cpu-rt-period", &limits.cpu_rt_period, "Microseconds");
  app.add("--cpuset-cpus", &limits.cpus, "List of CPUs");
  app.add("--cpuset-mems", &limits.mems, "List of memory nodes");
  app.add("--pids-limit", &limits.pids, "Number of processes; -1: no limit");
  app.add("--blkio-weight", &limits.blkio_weight, "10 to 1000");
  app.add("--l3-cache-schema", &limits.l3_cache_schema, "Intel RDT: L3 cache");
  app.add("--mem-bw-schema", &limits.mem_bw_schema, "Intel RDT: memory bandwidth");
}

}  // namespace

int run_update(const Globals& globals, const Words& words) {
  Options app("update", "Changes limits of a container; what is not named stays");
  std::string id;
  Limits limits;
  add_options(app, limits);
  app.add_word("ID", id);
  parse(app, words);
  load(globals, id);
  const fs::path state_dir = state_dir_of(globals, id);
  if (!limits.l3_cache_schema.empty() || !limits.mem_bw_schema.empty()) {
    base::while_doing("--l3-cache-schema, --mem-bw-schema", [&] {
      runtime::update_resctrl(state_dir, limits.l3_cache_schema, limits.mem_bw_schema);
    });
  }
  const oci::Resources resources =
      limits.file.empty() ? resources_from(limits) : parse_resources(limits.file);
  runtime::update(state_dir, resources);
  return 0;
}

}  // namespace cli_oci
