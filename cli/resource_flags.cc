#include "cli/resource_flags.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/time.h"

namespace cli {
namespace {

[[noreturn]] void refuse_limit(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

std::string bad_argument(const std::string& flag, const std::string& text) {
  return "invalid argument \"" + text + "\" for \"" + flag + "\" flag: ";
}

template <class Number>
std::optional<Number> find_whole_number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// "/dev/sda:REST".
std::pair<std::string, std::string> split_device(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) refuse_limit("bad format: " + text);
  if (!text.starts_with("/dev/")) refuse_limit("bad format for device path: " + text);
  return {text.substr(0, colon), text.substr(colon + 1)};
}

template <class Parse>
auto parse_each(const char* flag, const std::vector<std::string>& texts, Parse&& parse) {
  std::vector<decltype(parse(texts.front()))> values;
  for (const std::string& text : texts) {
    try {
      values.push_back(parse(text));
    } catch (const base::Error& error) {
      refuse_limit(bad_argument(flag, text) + error.what());
    }
  }
  return values;
}

std::uint16_t parse_weight(const std::string& text) {
  const auto weight = find_whole_number<std::uint16_t>(text);
  if (!weight) {
    refuse_limit(bad_argument("--blkio-weight", text) + "strconv.ParseUint: parsing \"" + text +
                 "\": invalid syntax");
  }
  return *weight;
}

}  // namespace

std::int64_t parse_memory(const std::string& flag, const std::string& text) {
  if (text.empty()) return 0;
  if (text == "-1") return -1;
  return base::while_doing("invalid argument \"" + text + "\" for \"" + flag + "\" flag",
                           [&] { return base::parse_size_binary(text); });
}

std::int64_t parse_cpus(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value < 0 || value > 1e6) {
    refuse_limit(bad_argument("--cpus", text) + "failed to parse " + text +
                 " as a rational number");
  }
  return std::llround(value * 1e9);
}

engine::DeviceWeight parse_weight_device(const std::string& text) {
  const auto [path, rest] = split_device(text);
  const auto weight = find_whole_number<std::uint16_t>(rest);
  if (!weight || (*weight != 0 && (*weight < 10 || *weight > 1000))) {
    refuse_limit("invalid weight for device: " + text);
  }
  return {.path = path, .weight = *weight};
}

engine::DeviceRate parse_rate(const std::string& text, RateUnit unit) {
  const auto [path, rest] = split_device(text);
  const auto refuse = [&](const char* format) {
    refuse_limit("invalid rate for device: " + text + ". The correct format is " + format);
  };
  if (unit == RateUnit::kOperations) {
    const auto rate = find_whole_number<std::uint64_t>(rest);
    if (!rate) refuse("<device-path>:<number>. Number must be a positive integer");
    return {.path = path, .rate = *rate};
  }
  std::int64_t rate = -1;
  try {
    rate = base::parse_size_binary(rest);
  } catch (const base::Error&) {
    rate = -1;
  }
  if (rate < 0) {
    refuse(
        "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and "
        "can be kb, mb, or gb");
  }
  return {.path = path, .rate = static_cast<std::uint64_t>(rate)};
}

std::vector<Flag> ResourceFlags::flags(Use use) {
  auto& l = limits_;
  std::vector<Flag> table = {
      {"-m,--memory", "bytes", "Memory limit", &memory_},
      {"--memory-swap", "bytes",
       "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", &memory_swap_},
      {"--memory-reservation", "bytes", "Memory soft limit", &memory_reservation_},
      {"--cpus", "decimal", "Number of CPUs", &cpus_},
      {"-c,--cpu-shares", "int", "CPU shares (relative weight)", &l.cpu_shares},
      {"--cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period", &l.cpu_period},
      {"--cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota", &l.cpu_quota},
      {"--cpu-rt-period", "int", "Limit the CPU real-time period in microseconds",
       &l.cpu_realtime_period},
      {"--cpu-rt-runtime", "int", "Limit the CPU real-time runtime in microseconds",
       &l.cpu_realtime_runtime},
      {"--cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)", &l.cpuset_cpus},
      {"--cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)", &l.cpuset_mems},
      {"--pids-limit", "int", "Tune container pids limit (set -1 for unlimited)", &l.pids_limit},
      {"--blkio-weight", "uint16",
       "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
       &blkio_weight_},
      {"--kernel-memory", "bytes", "Kernel memory limit (of kernels before 5.16)",
       &kernel_memory_}};
  if (use == Use::kCreate) {
    for (Flag& flag : create_flags()) table.push_back(std::move(flag));
  }
  return table;
}

std::vector<Flag> ResourceFlags::create_flags() {
  return {
      {"--memory-swappiness", "int", "Tune container memory swappiness (0 to 100) (default -1)",
       &swappiness_},
      {"--oom-kill-disable", "", "Disable OOM Killer", &limits_.oom_kill_disable},
      {"--blkio-weight-device", "list", "Block IO weight (relative device weight)",
       &weight_devices_},
      {"--device-read-bps", "list", "Limit read rate (bytes per second) from a device", &read_bps_},
      {"--device-write-bps", "list", "Limit write rate (bytes per second) to a device",
       &write_bps_},
      {"--device-read-iops", "list", "Limit read rate (IO per second) from a device", &read_iops_},
      {"--device-write-iops", "list", "Limit write rate (IO per second) to a device",
       &write_iops_}};
}

engine::ResourceLimits ResourceFlags::to_limits() const {
  engine::ResourceLimits limits = limits_;
  limits.memory = parse_memory("-m, --memory", memory_);
  limits.memory_swap = parse_memory("--memory-swap", memory_swap_);
  limits.memory_reservation = parse_memory("--memory-reservation", memory_reservation_);
  limits.kernel_memory = parse_memory("--kernel-memory", kernel_memory_);
  if (!cpus_.empty()) limits.nano_cpus = parse_cpus(cpus_);
  if (blkio_weight_) limits.blkio_weight = parse_weight(*blkio_weight_);
  if (swappiness_ != -1) {
    if (swappiness_ < 0 || swappiness_ > 100) {
      refuse_limit("invalid value: " + std::to_string(swappiness_) +
                   ". Valid memory swappiness range is 0-100");
    }
    limits.memory_swappiness = swappiness_;
  }
  limits.blkio_weight_devices =
      parse_each("--blkio-weight-device", weight_devices_, parse_weight_device);
  const auto rates = [](const char* flag, const std::vector<std::string>& texts, RateUnit unit) {
    return parse_each(flag, texts, [&](const std::string& text) { return parse_rate(text, unit); });
  };
  limits.read_bps = rates("--device-read-bps", read_bps_, RateUnit::kBytes);
  limits.write_bps = rates("--device-write-bps", write_bps_, RateUnit::kBytes);
  limits.read_iops = rates("--device-read-iops", read_iops_, RateUnit::kOperations);
  limits.write_iops = rates("--device-write-iops", write_iops_, RateUnit::kOperations);
  return limits;
}

}  // namespace cli
