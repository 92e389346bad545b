// CgroupStatistics: what a container's groups have used so far, from cgroup v1 or v2 files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace runtime {

struct CgroupStatistics {
  struct Cpu {
    std::uint64_t total = 0, user = 0, system = 0;  // nanoseconds
    std::vector<std::uint64_t> per_cpu;             // v1 only
    std::uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
  } cpu;
  struct Memory {
    std::uint64_t usage = 0, max_usage = 0, failures = 0;
    std::uint64_t limit = 0;                       // as the kernel says; UINT64_MAX: none
    std::uint64_t swap_usage = 0, swap_limit = 0;  // v1: memory+swap; v2: swap alone
    std::map<std::string, std::uint64_t> details;  // memory.stat
    // What docker shows: usage without the page cache that the kernel would drop first.
    std::uint64_t working_set() const;
  } memory;
  struct Pids {
    std::uint64_t current = 0, limit = 0;  // UINT64_MAX: none
  } pids;
  struct BlockIo {
    std::uint64_t major = 0, minor = 0;
    std::uint64_t read_bytes = 0, write_bytes = 0, read_operations = 0, write_operations = 0;
  };
  std::vector<BlockIo> block_io;
  std::uint64_t oom_kills = 0;
};

// Files that are missing leave their fields 0.
CgroupStatistics read_cgroup_statistics(const std::vector<std::string>& paths);

}  // namespace runtime
