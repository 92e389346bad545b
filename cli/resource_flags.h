// ResourceFlags: the flags that limit resources, shared by `run`, `create` and `update`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "engine/resource_limits.h"

namespace cli {

// The texts as given; flags() binds them, to_limits() reads them. Lives as long as the flags do.
class ResourceFlags {
 public:
  // kUpdate: those that docker's `update` has, too.
  enum class Use { kCreate, kUpdate };
  std::vector<Flag> flags(Use use);
  // Throws base::Error (kInvalid) with docker's words; what depends on the host is checked by the
  // engine.
  engine::ResourceLimits to_limits() const;

 private:
  std::vector<Flag> create_flags();

  engine::ResourceLimits limits_;  // what needs no reading
  std::string memory_, memory_swap_, memory_reservation_, kernel_memory_, cpus_;
  std::optional<std::string> blkio_weight_;
  std::int64_t swappiness_ = -1;
  std::vector<std::string> weight_devices_, read_bps_, write_bps_, read_iops_, write_iops_;
};

// The parts, each with docker's error words.
std::int64_t parse_memory(const std::string& flag, const std::string& text);  // "1g"; "-1"
std::int64_t parse_cpus(const std::string& text);                             // "1.5" in billionths
engine::DeviceWeight parse_weight_device(const std::string& text);            // "/dev/sda:500"
enum class RateUnit { kBytes, kOperations };
engine::DeviceRate parse_rate(const std::string& text, RateUnit unit);  // "/dev/sda:1mb"

}  // namespace cli
