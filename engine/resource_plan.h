// Resource plan: limits, devices, ulimits and sysctls of the spec from options and host facts;
// pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/runtime_spec.h"

namespace engine {

// --device HOST[:CONTAINER][:PERMISSIONS], taken apart.
struct DeviceOption {
  std::string host, container, access = "rwm";
};
DeviceOption parse_device_option(const std::string& text);  // throws kInvalid

// A device node of the host as it was found.
struct HostDevice {
  oci::Device node;  // its path is the one inside the container
  std::string access = "rwm";
};

// Hard limits of the process that will start the container, by "RLIMIT_…" name.
struct HardLimits {
  std::map<std::string, std::uint64_t> maximum;
  bool may_raise = false;  // CAP_SYS_RESOURCE
};

oci::Resources plan_resources(const ContainerOptions& options,
                              const std::vector<HostDevice>& devices);

// The part of it that `update` may change. Disks that are limited by name are not in it.
oci::Resources plan_limits(const ResourceLimits& limits);

// Numbers of the disks that the limits name, by path.
struct DiskNumber {
  std::int64_t major = 0, minor = 0;
};
using DiskNumbers = std::map<std::string, DiskNumber>;
void plan_disk_limits(const ResourceLimits& limits, const DiskNumbers& disks,
                      oci::Resources::BlockIo& block_io);

// What the user asked for, held to what this process is allowed to give.
std::vector<oci::Rlimit> plan_rlimits(const std::vector<oci::Rlimit>& wanted,
                                      const HardLimits& limits);

// docker's defaults for a network of its own, and the user's. Throws kInvalid for one that has no
// namespace of the container's behind it (CVE-2022-0811).
std::map<std::string, std::string> plan_sysctls(const ContainerOptions& options);

}  // namespace engine
