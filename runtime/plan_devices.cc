#include <algorithm>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

// See "Default Devices" and "Dev symbolic links" in config-linux.md and runtime-linux.md of the
// runtime specification.
struct DefaultDevice {
  const char* path;
  unsigned minor;
  unsigned major = 1;
};
constexpr DefaultDevice kDevices[] = {{"/dev/null", 3},   {"/dev/zero", 5},    {"/dev/full", 7},
                                      {"/dev/random", 8}, {"/dev/urandom", 9}, {"/dev/tty", 0, 5}};
constexpr std::pair<const char*, const char*> kLinks[] = {
    {"/dev/ptmx", "pts/ptmx"},          {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},  {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"}};
constexpr std::int64_t kLargestMajor = 0xfff, kLargestMinor = 0xfffff;

Step device_step(const std::string& path, std::uint32_t mode, std::uint64_t device) {
  Step step{.kind = StepKind::kDevice};
  step.target = path;
  step.source = path;
  step.mode = mode;
  step.device = device;
  return step;
}

std::uint32_t type_bits(const oci::Device& device) {
  switch (device.type) {
    case 'c':
    case 'u':
      return S_IFCHR;
    case 'b':
      return S_IFBLK;
    case 'p':
      return S_IFIFO;
    default:
      throw Error(ErrorKind::kInvalid, "device " + device.path + ": type is c, u, b or p");
  }
}

Step plan_device(const oci::Device& device) {
  const std::string path = fs::path(device.path).lexically_normal();
  if (path.empty() || path[0] != '/' || path.back() == '/') {
    throw Error(ErrorKind::kInvalid, "device path \"" + device.path + "\"");
  }
  if (device.major < 0 || device.major > kLargestMajor || device.minor < 0 ||
      device.minor > kLargestMinor) {
    throw Error(ErrorKind::kInvalid, "device " + path + ": no such number");
  }
  Step step = device_step(
      path, type_bits(device) | (device.file_mode.value_or(0666) & 07777U),
      makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor)));
  step.uid = device.uid.value_or(0);
  step.gid = device.gid.value_or(0);
  return step;
}

// The host's own /dev is the container's: nothing is made in it.
bool has_host_dev(const oci::RuntimeSpec& spec) {
  return std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const oci::Mount& mount) {
    const bool bind = mount.type == "bind" ||
                      std::any_of(mount.options.begin(), mount.options.end(), [](const auto& word) {
                        return word == "bind" || word == "rbind";
                      });
    const fs::path target = fs::path(mount.destination).lexically_normal();
    return bind && (target == "/dev" || target == "/dev/");
  });
}

}  // namespace

void plan_devices(const oci::RuntimeSpec& spec, Plan& plan) {
  if (has_host_dev(spec)) {
    plan.decisions.push_back("no devices are made: /dev is a bind of another directory");
    return;
  }
  std::vector<Step> own;
  for (const oci::Device& device : spec.linux_.devices) own.push_back(plan_device(device));
  for (const DefaultDevice& device : kDevices) {
    const bool replaced = std::any_of(own.begin(), own.end(),
                                      [&](const Step& step) { return step.target == device.path; });
    if (replaced) continue;
    plan.steps.push_back(
        device_step(device.path, S_IFCHR | 0666, makedev(device.major, device.minor)));
  }
  for (Step& step : own) plan.steps.push_back(std::move(step));
  for (const auto& [path, text] : kLinks) {
    Step step{.kind = StepKind::kSymlink};
    step.target = path;
    step.source = text;
    plan.steps.push_back(std::move(step));
  }
}

}  // namespace runtime
