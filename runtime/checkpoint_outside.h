// Outside: what a checkpoint refers to by name because it is the host's, and how criu is told.
#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/cgroup.h"

namespace runtime {

namespace fs = std::filesystem;

// What of the container is not in its own file systems, under names that restore knows again.
struct Outside {
  std::vector<std::string> mounts;   // where a file or directory of the host is bound
  std::vector<std::string> masked;   // where /dev/null is
  std::vector<std::string> cgroups;  // where the container's own group of v2 is
  std::vector<std::string>
      descriptors;  // of the first process's 0, 1, 2: "file[…]", "pipe:[…]", or empty
  std::string network, processes;  // paths of namespaces that somebody else keeps
};

Outside find_outside(const oci::RuntimeSpec& spec, pid_t pid);

// What criu is told is external, for both ways.
std::vector<std::string> plan_dump_external(const Outside& outside);
std::vector<std::string> plan_restore_external(const oci::RuntimeSpec& spec, const Outside& outside,
                                               const Cgroups& groups);

// Names of namespaces that are not the container's own, between both ways; the second one is fixed
// in criu.
inline constexpr char kOutsideNetwork[] = "network";
inline constexpr char kOutsideProcesses[] = "extRootPidNS";

// A file of ours among criu's images. load_ throws kNotFound.
void save_manifest(const fs::path& images, const Outside& outside);
void remove_manifest(const fs::path& images) noexcept;
Outside load_manifest(const fs::path& images);

}  // namespace runtime
