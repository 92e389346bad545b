// Statistics: what running containers use, for `stats` and `top`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "engine/engine.h"

namespace engine {

struct UsageSample {
  base::Nanoseconds time = 0;      // monotonic
  std::uint64_t cpu = 0;           // nanoseconds of all processors
  std::uint64_t memory = 0;        // without the page cache that would go first
  std::uint64_t memory_limit = 0;  // that of the machine where there is none
  std::uint64_t received = 0, sent = 0, read = 0, written = 0;  // bytes
  std::uint64_t processes = 0;
};

// nullopt where it does not run (any more).
std::optional<UsageSample> sample_usage(const Config& config, const ContainerInfo& info);

// Of one processor, in per cent, between two samples.
double cpu_percent(const UsageSample& before, const UsageSample& after);

// What /proc/PID/net/dev counts on all links but "lo".
struct LinkBytes {
  std::uint64_t received = 0, sent = 0;
};
LinkBytes parse_link_bytes(std::string_view net_dev);

// The table that `ps` printed, with the rows of these processes only.
struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;  // as many cells as titles; the last is a line's rest
};
// Throws kInvalid where it has no column "PID".
ProcessTable pick_processes(std::string_view ps_output, const std::vector<pid_t>& wanted);

// Runs the host's `ps` with these words ("-ef" where there are none).
ProcessTable list_container_processes(Engine& engine, std::string_view name_or_id,
                                      const std::vector<std::string>& ps_words);

}  // namespace engine
