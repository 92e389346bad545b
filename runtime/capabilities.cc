#include "runtime/capabilities.h"

#include <array>
#include <charconv>
#include <sys/prctl.h>

#include "base/error.h"
#include "base/files.h"

namespace runtime {
namespace {

// The index is the number: capabilities(7), <linux/capability.h>.
constexpr std::array<const char*, kCapabilityCount> kNames = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

// The mask after "CapPrm:" and its like in /proc/self/status, proc(5).
std::uint64_t status_mask(std::string_view status, std::string_view field) {
  const std::size_t at = status.find(field);
  if (at == std::string_view::npos) return 0;
  const std::size_t begin = status.find_first_not_of(" \t", at + field.size());
  if (begin == std::string_view::npos) return 0;
  std::uint64_t mask = 0;
  std::from_chars(status.data() + begin, status.data() + status.size(), mask, 16);
  return mask;
}

}  // namespace

std::optional<int> find_capability(std::string_view name) {
  for (int number = 0; number < kCapabilityCount; ++number) {
    if (name == kNames[static_cast<std::size_t>(number)]) return number;
  }
  return std::nullopt;
}

const char* capability_name(int number) {
  if (number < 0 || number >= kCapabilityCount) return nullptr;
  return kNames[static_cast<std::size_t>(number)];
}

std::uint64_t parse_capabilities(const std::vector<std::string>& names) {
  std::uint64_t mask = 0;
  for (const std::string& name : names) {
    const auto number = find_capability(name);
    if (!number) {
      throw base::Error(base::ErrorKind::kInvalid, "unknown capability \"" + name + "\"");
    }
    mask |= std::uint64_t{1} << static_cast<unsigned>(*number);
  }
  return mask;
}

std::vector<std::string> capability_names(std::uint64_t mask) {
  std::vector<std::string> names;
  for (int number = 0; number < kCapabilityCount; ++number) {
    if ((mask >> static_cast<unsigned>(number) & 1U) != 0)
      names.emplace_back(capability_name(number));
  }
  return names;
}

CapabilitySets plan_capabilities(const oci::Capabilities& wanted, std::uint64_t held) {
  CapabilitySets sets;
  sets.bounding = parse_capabilities(wanted.bounding) & held;
  sets.permitted = parse_capabilities(wanted.permitted) & held;
  sets.effective = parse_capabilities(wanted.effective) & sets.permitted;
  // capset(2) takes new inheritable bits only from within the bounding and permitted sets.
  sets.inheritable = parse_capabilities(wanted.inheritable) & held;
  sets.ambient = parse_capabilities(wanted.ambient) & sets.permitted & sets.inheritable;
  return sets;
}

CapabilitySets plan_capabilities(const oci::Capabilities& wanted) {
  return plan_capabilities(wanted, held_capabilities());
}

std::uint64_t known_capabilities() {
  std::uint64_t known = 0;
  for (int number = 0; number < kCapabilityCount; ++number) {
    if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) < 0) break;
    known |= std::uint64_t{1} << static_cast<unsigned>(number);
  }
  return known;
}

OwnStatus read_own_status() {
  const std::string status = base::read_file("/proc/self/status");
  return {.held_capabilities = status_mask(status, "\nCapPrm:") & status_mask(status, "\nCapBnd:"),
          .ignored_signals = status_mask(status, "\nSigIgn:")};
}

std::uint64_t held_capabilities() { return read_own_status().held_capabilities; }

}  // namespace runtime
