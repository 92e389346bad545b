#include "engine/host_facts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/security_plan.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

struct NamedLimit {
  const char* name;
  int resource;
};
constexpr std::array<NamedLimit, 16> kLimits = {{{"RLIMIT_AS", RLIMIT_AS},
                                                 {"RLIMIT_CORE", RLIMIT_CORE},
                                                 {"RLIMIT_CPU", RLIMIT_CPU},
                                                 {"RLIMIT_DATA", RLIMIT_DATA},
                                                 {"RLIMIT_FSIZE", RLIMIT_FSIZE},
                                                 {"RLIMIT_LOCKS", RLIMIT_LOCKS},
                                                 {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
                                                 {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
                                                 {"RLIMIT_NICE", RLIMIT_NICE},
                                                 {"RLIMIT_NOFILE", RLIMIT_NOFILE},
                                                 {"RLIMIT_NPROC", RLIMIT_NPROC},
                                                 {"RLIMIT_RSS", RLIMIT_RSS},
                                                 {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
                                                 {"RLIMIT_RTTIME", RLIMIT_RTTIME},
                                                 {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
                                                 {"RLIMIT_STACK", RLIMIT_STACK}}};
constexpr unsigned kCapSysResource = 24;  // linux/capability.h

// Effective capabilities as a bit set, from /proc/self/status (proc(5)).
std::uint64_t effective_capabilities() {
  const std::string status = base::read_file("/proc/self/status");
  const std::size_t at = status.find("CapEff:\t");
  if (at == std::string::npos) return 0;
  return std::stoull(status.substr(at + 8, 16), nullptr, 16);
}

HardLimits read_limits() {
  HardLimits limits;
  limits.may_raise = ((effective_capabilities() >> kCapSysResource) & 1U) != 0;
  for (const NamedLimit& limit : kLimits) {
    struct rlimit value = {};
    if (getrlimit(static_cast<__rlimit_resource>(limit.resource), &value) == 0) {
      limits.maximum[limit.name] = value.rlim_max;
    }
  }
  return limits;
}

std::optional<HostDevice> read_device(const fs::path& path, const std::string& destination,
                                      const std::string& access) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) base::throw_errno(path.string());
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return std::nullopt;
  return HostDevice{.node = {.path = destination,
                             .type = S_ISBLK(info.st_mode) ? 'b' : 'c',
                             .major = gnu_dev_major(info.st_rdev),
                             .minor = gnu_dev_minor(info.st_rdev),
                             .file_mode = info.st_mode & 07777U,
                             .uid = info.st_uid,
                             .gid = info.st_gid},
                    .access = access};
}

// /dev holds directories of its own (pts, shm, mqueue) that a container never shares.
bool is_private_name(const std::string& name) {
  static constexpr std::array<const char*, 8> kPrivate = {
      "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"};
  return std::any_of(kPrivate.begin(), kPrivate.end(), [&](const char* x) { return name == x; });
}

void read_devices_below(const fs::path& folder, const std::string& destination,
                        const std::string& access, std::vector<HostDevice>& devices) {
  const base::CHandle<DIR, closedir> stream(opendir(folder.c_str()));
  if (!stream) base::throw_errno(folder.string());
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || is_private_name(name)) continue;
    struct stat info = {};
    if (fstatat(dirfd(stream.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const std::string below = destination + "/" + name;
    if (S_ISDIR(info.st_mode)) {
      read_devices_below(folder / name, below, access, devices);
    } else if (auto device = S_ISLNK(info.st_mode) ? std::nullopt
                                                   : read_device(folder / name, below, access)) {
      devices.push_back(std::move(*device));
    }
  }
}

std::vector<HostDevice> read_devices(const ContainerOptions& options) {
  std::vector<HostDevice> devices;
  if (options.privileged) read_devices_below("/dev", "/dev", "rwm", devices);
  for (const std::string& text : options.devices) {
    const DeviceOption option = parse_device_option(text);
    struct stat info = {};
    if (stat(option.host.c_str(), &info) != 0) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "error gathering device information while adding custom device \"" +
                            option.host + "\": no such file or directory");
    }
    if (S_ISDIR(info.st_mode)) {
      read_devices_below(option.host, option.container, option.access, devices);
    } else if (auto device = read_device(option.host, option.container, option.access)) {
      devices.push_back(std::move(*device));
    } else {
      throw base::Error(base::ErrorKind::kInvalid,
                        "error gathering device information while adding custom device \"" +
                            option.host + "\": not a device node");
    }
  }
  return devices;
}

}  // namespace

HostFacts gather_host_facts(const ContainerOptions& options) {
  HostFacts facts;
  facts.capabilities = runtime::all_capabilities();
  if (!options.ulimits.empty()) facts.limits = read_limits();
  facts.devices = read_devices(options);
  struct utsname name = {};
  uname(&name);
  facts.hostname = name.nodename;
  const SecurityOptions security = parse_security_options(options.security_opt);
  if (security.seccomp == SecurityOptions::SeccompMode::kFile) {
    facts.seccomp_profile = base::while_doing("opening seccomp profile", [&] {
      return base::read_file(security.seccomp_file, 4U << 20U);
    });
  }
  return facts;
}

std::string read_host_resolv_conf() {
  const std::string own = base::find_file("/etc/resolv.conf", 1U << 20U).value_or("");
  if (own.find("nameserver 127.0.0.53") != std::string::npos) {
    if (auto real = base::find_file("/run/systemd/resolve/resolv.conf", 1U << 20U)) return *real;
  }
  return own;
}

fs::path program_beside_us(const char* name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return self.parent_path() / name;
}

}  // namespace engine
