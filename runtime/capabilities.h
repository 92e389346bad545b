// Capabilities: names and numbers, and the five sets of a process as bit masks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/runtime_spec.h"

namespace runtime {

// Bit n is capability n of capabilities(7).
struct CapabilitySets {
  std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
  friend bool operator==(const CapabilitySets&, const CapabilitySets&) = default;
};

std::optional<int> find_capability(std::string_view name);  // "CAP_CHOWN" only
const char* capability_name(int number);                    // null where unknown
inline constexpr int kCapabilityCount = 41;                 // CAP_CHOWN … CAP_CHECKPOINT_RESTORE

// A name outside of the table throws kInvalid.
std::uint64_t parse_capabilities(const std::vector<std::string>& names);
std::vector<std::string> capability_names(std::uint64_t mask);

// The sets that the kernel will accept from a process that holds `held`: what is not held is left
// out everywhere (root here may lack some), effective and ambient stay within permitted, ambient
// within inheritable. Throws kInvalid for unknown names.
CapabilitySets plan_capabilities(const oci::Capabilities& wanted, std::uint64_t held);
CapabilitySets plan_capabilities(const oci::Capabilities& wanted);  // of this process

// CAP_CHOWN … the last one that both the kernel and we know.
std::uint64_t known_capabilities();

// What the kernel says of this process; see /proc/pid/status in proc(5).
struct OwnStatus {
  std::uint64_t held_capabilities = 0;  // permitted and in the bounding set
  std::uint64_t ignored_signals = 0;    // bit n - 1 is signal n
};
OwnStatus read_own_status();
std::uint64_t held_capabilities();

}  // namespace runtime
