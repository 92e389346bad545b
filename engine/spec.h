// Spec: the OCI runtime spec that docker would make of an image, the user's options and facts of
// the host; pure.
#pragma once

#include <string>
#include <vector>

#include "engine/isolation.h"
#include "engine/mount_plan.h"
#include "engine/options.h"
#include "engine/resource_plan.h"
#include "engine/user.h"
#include "oci/image_config.h"
#include "oci/runtime_spec.h"

namespace engine {

struct HostFacts {
  std::vector<std::string> capabilities;  // all that the kernel knows and we hold
  HardLimits limits;
  std::vector<HostDevice> devices;  // of --device; of the whole host where privileged
  DiskNumbers disks;                // of --device-read-bps and its like
  std::string hostname;             // of the host: --network host shows it
};

struct SpecInput {
  std::string network_namespace;  // of another container; empty: one of its own
  std::string id;
  oci::ImageConfig image;
  ContainerOptions options;
  std::vector<std::string> link_environment;
  UserFiles user_files;
  MountPlanInput mounts;
  HostFacts host;
  std::string cgroups_path;  // "/sampan/<id>"
  JoinedNamespaces joined;
  UserMappings ids;
};

oci::RuntimeSpec plan_spec(const SpecInput& input);

// --hostname, or the host's name with its network, or 12 digits of the id.
std::string plan_hostname(const std::string& id, const ContainerOptions& options,
                          const std::string& host);

// -w, or the image's, or "/". Throws kInvalid with docker's words where it is not absolute.
std::string plan_working_dir(const oci::ImageConfig& image, const ContainerOptions& options);

}  // namespace engine
