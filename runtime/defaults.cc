#include "runtime/defaults.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <unistd.h>

#include "base/files.h"
#include "runtime/capabilities.h"
#include "runtime/default_seccomp.h"

namespace runtime {
namespace {

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    names.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return names;
}

bool has_word(std::string_view text, std::string_view word) {
  const auto words = split_names(text);
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool applies(const DefaultSeccompRule& rule, const std::set<std::string>& capabilities) {
  const auto granted = [&](std::string_view name) {
    return capabilities.contains(std::string(name));
  };
  if (!rule.with_capability.empty() && !granted(rule.with_capability)) return false;
  if (!rule.without_capability.empty() && granted(rule.without_capability)) return false;
  if (!rule.on.empty() && !has_word(rule.on, go_architecture())) return false;
  return rule.not_on.empty() || !has_word(rule.not_on, go_architecture());
}

std::string thermal_throttle(int cpu) {
  return "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/thermal_throttle";
}

}  // namespace

const std::vector<std::string>& default_capabilities() {
  static const std::vector<std::string> names = {
      "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
      "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
      "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
      "CAP_KILL",    "CAP_AUDIT_WRITE"};
  return names;
}

const std::vector<std::string>& all_capabilities() {
  static const std::vector<std::string> names = [] {
    int last = kCapabilityCount - 1;
    const auto text = base::find_file("/proc/sys/kernel/cap_last_cap", 64);
    if (text) std::from_chars(text->data(), text->data() + text->size(), last);
    const int count = std::clamp(last + 1, 1, kCapabilityCount);
    return capability_names((std::uint64_t{1} << static_cast<unsigned>(count)) - 1);
  }();
  return names;
}

oci::Seccomp default_seccomp(const std::set<std::string>& capabilities) {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = EPERM;
  profile.architectures = default_seccomp_architectures();
  for (const DefaultSeccompRule& rule : default_seccomp_rules()) {
    if (!applies(rule, capabilities)) continue;
    oci::SyscallRule& out = profile.syscalls.emplace_back();
    out.names = split_names(rule.calls);
    out.action = rule.errno_value != 0 ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW";
    if (rule.errno_value != 0) out.errno_ret = rule.errno_value;
    if (rule.argument_op != nullptr) {
      out.args.push_back({.index = rule.argument_index,
                          .value = rule.argument_value,
                          .value_two = 0,
                          .op = rule.argument_op});
    }
  }
  return profile;
}

std::vector<oci::DeviceRule> default_device_rules() {
  // plan_devices() adds null, full, ptmx and pts by itself; 10:229 is fuse.
  const auto rule = [](bool allow, std::int64_t major, std::int64_t minor) {
    return oci::DeviceRule{
        .allow = allow, .type = 'c', .major = major, .minor = minor, .access = "rwm"};
  };
  return {{.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"},
          rule(true, 1, 5),
          rule(true, 1, 3),
          rule(true, 1, 9),
          rule(true, 1, 8),
          rule(true, 5, 0),
          rule(true, 5, 1),
          rule(false, 10, 229)};
}

const std::vector<std::string>& default_masked_paths() {
  static const std::vector<std::string> paths = [] {
    std::vector<std::string> all = {"/proc/acpi",
                                    "/proc/asound",
                                    "/proc/interrupts",
                                    "/proc/kcore",
                                    "/proc/keys",
                                    "/proc/latency_stats",
                                    "/proc/sched_debug",
                                    "/proc/scsi",
                                    "/proc/timer_list",
                                    "/proc/timer_stats",
                                    "/sys/devices/virtual/powercap",
                                    "/sys/firmware"};
    // Counters by which a container could watch its neighbours' load.
    const long cpus = sysconf(_SC_NPROCESSORS_CONF);  // reads a file: once
    for (int cpu = 0; cpu < cpus; ++cpu) {
      if (access(thermal_throttle(cpu).c_str(), F_OK) == 0) all.push_back(thermal_throttle(cpu));
    }
    return all;
  }();
  return paths;
}

const std::vector<std::string>& default_readonly_paths() {
  static const std::vector<std::string> paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                 "/proc/sysrq-trigger"};
  return paths;
}

std::vector<oci::Mount> default_mounts() {
  return {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
  };
}

}  // namespace runtime
