// CgroupDetails: the part of a container's statistics that only `events` of the OCI command line
// tells: cpusets, kernel memory, huge pages, pressure (PSI). And the moment of an OOM kill.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// One line of a *.pressure file of cgroup v2; see the kernel's accounting/psi.rst.
struct Pressure {
  double avg10 = 0, avg60 = 0, avg300 = 0;  // per cent of the time
  std::uint64_t total = 0;                  // microseconds
};

struct CgroupDetails {
  struct Usage {
    std::uint64_t limit = 0, usage = 0, max = 0, failures = 0;
  };
  std::optional<Usage> memory_and_swap, kernel, kernel_tcp;  // v1; v2 has swap alone elsewhere
  std::map<std::string, Usage> huge_pages;                   // "2MB"
  std::vector<unsigned> cpus, mems;
  std::map<std::string, std::uint64_t> cpuset;                      // "sched_load_balance" of v1
  std::map<std::string, std::map<std::string, Pressure>> pressure;  // "memory", "some"
};

// Files that are missing leave their fields empty. `init`: whose cpuset is told where the container
// has none of its own.
CgroupDetails read_cgroup_details(const std::vector<std::string>& paths, pid_t init);

// "some avg10=0.12 avg60=0.00 avg300=0.00 total=123" and a line for "full".
std::map<std::string, Pressure> parse_pressure(const std::string& text);
// "0-2,5" as in cpuset.cpus.
std::vector<unsigned> parse_number_list(const std::string& text);

// Becomes readable when the kernel's OOM killer may have ended a process of the groups.
class OomWatch {
 public:
  explicit OomWatch(const std::vector<std::string>& paths);
  int fd() const { return watch_.get(); }  // -1 where there is no memory controller
  // Takes what is there to read; how many have been killed since the last call.
  std::uint64_t count_new();

 private:
  std::vector<std::string> paths_;
  base::UniqueFd control_, watch_;
  std::uint64_t known_ = 0;
};

}  // namespace runtime
