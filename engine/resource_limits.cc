#include "engine/resource_limits.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/error.h"

namespace engine {
namespace {

constexpr int kHighestNumber = 8191;  // of a processor; as docker's parsers.ParseUintList

[[noreturn]] void refuse_limit(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

std::optional<int> parse_small_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0 ||
      value > kHighestNumber) {
    return std::nullopt;
  }
  return value;
}

// Collects docker's warnings, whose ends are all alike.
class Warnings {
 public:
  // "Your kernel does not support WHAT or the cgroup is not mounted. LOST discarded."
  void discard(const std::string& what, const std::string& lost) {
    add("Your kernel does not support " + what + " or the cgroup is not mounted. " + lost +
        " discarded.");
  }
  void add(const std::string& text) { list_.push_back(text); }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::vector<std::string> list_;
};

void check_swap(const ResourceLimits& limits) {
  if (limits.memory_swap > 0 && limits.memory == 0) {
    refuse_limit("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (limits.memory_swap > 0 && limits.memory_swap < limits.memory) {
    refuse_limit("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
}

void check_memory(ResourceLimits& limits, const ResourceSupport& support, Warnings& warnings) {
  check_swap(limits);
  if (limits.memory_swappiness &&
      (*limits.memory_swappiness < 0 || *limits.memory_swappiness > 100)) {
    refuse_limit("Invalid value: " + std::to_string(*limits.memory_swappiness) +
                 ", valid memory swappiness range is 0-100");
  }
  if (limits.memory > 0 && limits.memory_reservation > limits.memory) {
    refuse_limit("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  if (limits.memory > 0 && !support.memory) {
    warnings.discard("memory limit capabilities", "Limitation");
    limits.memory = limits.memory_swap = 0;
  }
  if (limits.memory > 0 && limits.memory_swap != -1 && !support.swap) {
    warnings.add(
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
        "Memory limited without swap.");
    limits.memory_swap = -1;
  }
  if (limits.memory_swappiness && !support.swappiness) {
    warnings.discard("memory swappiness capabilities", "Memory swappiness");
    limits.memory_swappiness.reset();
  }
  if (limits.memory_reservation > 0 && !support.reservation) {
    warnings.discard("memory soft limit capabilities", "Limitation");
    limits.memory_reservation = 0;
  }
  if (limits.kernel_memory > 0) {
    // Kernels have had none since 5.16.
    warnings.discard("kernel memory limit capabilities", "Limitation");
    limits.kernel_memory = 0;
  }
  if (limits.oom_kill_disable && !support.oom_kill_disable) {
    warnings.add("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    limits.oom_kill_disable = false;
  }
  if (limits.oom_kill_disable && limits.memory == 0) {
    warnings.add(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in "
        "the system running out of resources.");
  }
}

void check_cpu_values(const ResourceLimits& limits, const ResourceSupport& support) {
  if (limits.nano_cpus > 0 && limits.cpu_period > 0) {
    refuse_limit("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (limits.nano_cpus > 0 && limits.cpu_quota > 0) {
    refuse_limit("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  }
  if (limits.nano_cpus < 0 || limits.nano_cpus > support.cpu_count * 1'000'000'000LL) {
    const std::string count = std::to_string(support.cpu_count);
    refuse_limit("Range of CPUs is from 0.01 to " + count + ".00, as there are only " + count +
                 " CPUs available");
  }
  if (limits.cpu_period != 0 && (limits.cpu_period < 1000 || limits.cpu_period > 1'000'000)) {
    refuse_limit(
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  if (limits.cpu_quota > 0 && limits.cpu_quota < 1000) {
    refuse_limit("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  }
  if (limits.cpu_realtime_period < 0 || limits.cpu_realtime_runtime < 0) {
    refuse_limit("CPU real-time period and runtime can not be below 0");
  }
  if (limits.cpu_realtime_period != 0 && limits.cpu_realtime_runtime > limits.cpu_realtime_period) {
    refuse_limit("cpu real-time runtime cannot be higher than cpu real-time period");
  }
}

void check_cpu(ResourceLimits& limits, const ResourceSupport& support, Warnings& warnings) {
  check_cpu_values(limits, support);
  if (limits.nano_cpus > 0 && !support.cpu_quota) {
    refuse_limit(
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup "
        "is not mounted");
  }
  if ((limits.cpu_realtime_period != 0 || limits.cpu_realtime_runtime != 0) &&
      !support.cpu_realtime) {
    refuse_limit("kernel does not support CPU real-time scheduler");
  }
  if (limits.cpu_shares > 0 && !support.cpu_shares) {
    warnings.discard("CPU shares", "Shares");
    limits.cpu_shares = 0;
  }
  if ((limits.cpu_period != 0 || limits.cpu_quota != 0) && !support.cpu_quota) {
    warnings.add("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
    limits.cpu_period = limits.cpu_quota = 0;
  }
}

void check_list(const std::string& text, const std::string& available, const char* kind,
                const char* plural) {
  if (text.empty()) return;
  const auto wanted = parse_number_list(text);
  if (!wanted) refuse_limit("Invalid value " + text + " for cpuset " + kind);
  const auto online = parse_number_list(available).value_or(std::vector<int>{});
  if (!std::includes(online.begin(), online.end(), wanted->begin(), wanted->end())) {
    refuse_limit("Requested " + std::string(plural) + " are not available - requested " + text +
                 ", available: " + available);
  }
}

void check_cpuset(ResourceLimits& limits, const ResourceSupport& support, Warnings& warnings) {
  if (limits.cpuset_cpus.empty() && limits.cpuset_mems.empty()) return;
  check_list(limits.cpuset_cpus, support.cpus, "cpus", "CPUs");
  check_list(limits.cpuset_mems, support.memory_nodes, "mems", "memory nodes");
  if (support.cpuset) return;
  warnings.discard("cpuset", "Cpuset");
  limits.cpuset_cpus.clear();
  limits.cpuset_mems.clear();
}

void check_block_io(ResourceLimits& limits, const ResourceSupport& support, Warnings& warnings) {
  if (limits.blkio_weight != 0 && (limits.blkio_weight < 10 || limits.blkio_weight > 1000)) {
    refuse_limit("Range of blkio weight is from 10 to 1000");
  }
  if (limits.blkio_weight > 0 && !support.blkio_weight) {
    warnings.discard("Block I/O weight", "Weight");
    limits.blkio_weight = 0;
  }
  if (!limits.blkio_weight_devices.empty() && !support.blkio_weight) {
    warnings.discard("Block I/O weight_device", "Weight-device");
    limits.blkio_weight_devices.clear();
  }
  const auto check = [&](std::vector<DeviceRate>& rates, const char* what, const char* lost) {
    if (rates.empty() || support.blkio_throttle) return;
    warnings.discard(what, lost);
    rates.clear();
  };
  check(limits.read_bps, "BPS Block I/O read limit", "Block I/O BPS read limit");
  check(limits.write_bps, "BPS Block I/O write limit", "Block I/O BPS write limit");
  check(limits.read_iops, "IOPS Block read limit", "Block I/O IOPS read limit");
  check(limits.write_iops, "IOPS Block write limit", "Block I/O IOPS write limit");
}

template <class Value>
void replace_if_set(Value& current, const Value& change) {
  if (change != Value{}) current = change;
}

}  // namespace

std::optional<std::vector<int>> parse_number_list(const std::string& text) {
  std::vector<int> numbers;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string part = text.substr(start, end - start);
    const std::size_t dash = part.find('-');
    const auto first = parse_small_number(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_small_number(part.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (int number = *first; number <= *last; ++number) numbers.push_back(number);
    start = end + 1;
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

std::vector<std::string> check_limits(ResourceLimits& limits, const ResourceSupport& support) {
  Warnings warnings;
  check_memory(limits, support, warnings);
  if (limits.pids_limit != 0 && !support.pids) {
    if (limits.pids_limit > 0) warnings.discard("PIDs limit capabilities", "PIDs limit");
    limits.pids_limit = 0;
  }
  check_cpu(limits, support, warnings);
  check_cpuset(limits, support, warnings);
  check_block_io(limits, support, warnings);
  return warnings.take();
}

ResourceLimits merge_limits(ResourceLimits current, const ResourceLimits& change) {
  if (change.nano_cpus > 0 && (current.cpu_quota > 0 || current.cpu_period > 0)) {
    refuse_limit(std::string("Conflicting options: Nano CPUs cannot be updated as CPU ") +
                 (current.cpu_quota > 0 ? "Quota" : "Period") + " has already been set");
  }
  if (current.nano_cpus > 0 && (change.cpu_quota > 0 || change.cpu_period > 0)) {
    refuse_limit(std::string("Conflicting options: CPU ") +
                 (change.cpu_quota > 0 ? "Quota" : "Period") +
                 " cannot be updated as NanoCPUs has already been set");
  }
  // Without one of its own the swap limit follows the memory limit, and docker keeps what that was.
  const std::int64_t swap =
      current.memory_swap == 0 && current.memory > 0 ? 2 * current.memory : current.memory_swap;
  if (change.memory > 0 && change.memory_swap == 0 && swap > 0 && change.memory > swap) {
    refuse_limit(
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap "
        "at the same time");
  }
  if (change.memory > 0 && change.memory_swap == 0) current.memory_swap = swap;
  replace_if_set(current.memory, change.memory);
  replace_if_set(current.memory_swap, change.memory_swap);
  replace_if_set(current.memory_reservation, change.memory_reservation);
  replace_if_set(current.kernel_memory, change.kernel_memory);
  replace_if_set(current.nano_cpus, change.nano_cpus);
  replace_if_set(current.cpu_period, change.cpu_period);
  replace_if_set(current.cpu_quota, change.cpu_quota);
  replace_if_set(current.cpu_realtime_period, change.cpu_realtime_period);
  replace_if_set(current.cpu_realtime_runtime, change.cpu_realtime_runtime);
  replace_if_set(current.cpu_shares, change.cpu_shares);
  replace_if_set(current.cpuset_cpus, change.cpuset_cpus);
  replace_if_set(current.cpuset_mems, change.cpuset_mems);
  replace_if_set(current.pids_limit, change.pids_limit);
  replace_if_set(current.blkio_weight, change.blkio_weight);
  return current;
}

}  // namespace engine
