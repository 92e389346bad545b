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
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/security_plan.h"
#include "oci/json.h"
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
constexpr std::size_t kMaxProfile = 4U << 20U;
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

DiskNumbers find_disks(const ResourceLimits& limits) {
  DiskNumbers disks;
  const auto add = [&](const std::string& path) {
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) base::throw_errno(path);
    disks[path] = {.major = gnu_dev_major(info.st_rdev), .minor = gnu_dev_minor(info.st_rdev)};
  };
  for (const DeviceWeight& device : limits.blkio_weight_devices) add(device.path);
  for (const auto* rates :
       {&limits.read_bps, &limits.write_bps, &limits.read_iops, &limits.write_iops}) {
    for (const DeviceRate& device : *rates) add(device.path);
  }
  return disks;
}

bool has_apparmor() {
  const auto enabled = base::find_file("/sys/module/apparmor/parameters/enabled", 16);
  return enabled && enabled->starts_with('Y');
}

bool has_selinux() { return access("/sys/fs/selinux/enforce", F_OK) == 0; }

// Confinement that was asked for is given or refused. docker forgets the profile's name where the
// kernel has no AppArmor, and runs the container without it.
void check_modules(const SecurityOptions& security) {
  if (!security.apparmor.empty() && security.apparmor != "unconfined" && !has_apparmor()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "apply apparmor profile \"" + security.apparmor +
                          "\": AppArmor is not enabled on this host");
  }
  if (security.labels.empty() || !has_selinux()) return;
  for (const std::string& label : security.labels) {
    if (label == "disable") continue;
    throw base::Error(base::ErrorKind::kUnsupported,
                      "apply label \"" + label + "\": setting SELinux labels is not supported");
  }
}

}  // namespace

HostFacts gather_host_facts(const ContainerOptions& options) {
  HostFacts facts;
  facts.capabilities = runtime::all_capabilities();
  if (!options.ulimits.empty()) facts.limits = read_limits();
  facts.devices = read_devices(options);
  facts.disks = find_disks(options.limits);
  struct utsname name = {};
  uname(&name);
  facts.hostname = name.nodename;
  check_modules(parse_security_options(options.security_opt));
  return facts;
}

void load_seccomp_files(std::vector<std::string>& security_options) {
  for (std::string& option : security_options) {
    const SecurityOptions parsed = parse_security_options({option});
    if (parsed.seccomp != SecurityOptions::SeccompMode::kFile) continue;
    const std::string& name = parsed.seccomp_profile;
    if (name.starts_with('{')) continue;
    base::while_doing("opening seccomp profile (" + name + ") failed", [&] {
      const std::string content = base::read_file(name, kMaxProfile);
      runtime::parse_seccomp_profile(content, {});
      option = "seccomp=" + oci::parse_json(content).dump();
    });
  }
}

std::vector<std::string> warn_of_security(const std::vector<std::string>& security_options) {
  std::vector<std::string> warnings;
  if (has_selinux()) return warnings;
  for (const std::string& label : parse_security_options(security_options).labels) {
    if (label == "disable") continue;
    warnings.push_back("--security-opt label=" + label +
                       " has no effect: SELinux is not enabled on this host");
  }
  return warnings;
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
