// Mount plan: the spec's mounts from docker's defaults, binds, volumes and tmpfs; pure.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/runtime_spec.h"

namespace engine {

namespace fs = std::filesystem;

// A mount of the user's or of the image whose source is known: a host path, or a volume's
// directory.
struct ResolvedMount {
  MountOption option;
  fs::path source;  // empty for tmpfs
};

struct MountPlanInput {
  std::vector<ResolvedMount> mounts;
  fs::path hosts, hostname, resolv_conf;  // on the host; empty: left to the image
  fs::path init_program;                  // bound at kInitPath where not empty
};

inline constexpr char kInitPath[] = "/sbin/docker-init";

// Parents before children; a mount of the user's takes the place of a default one of the same
// destination. Throws kInvalid for two at one place, or a destination that is "/" or relative.
std::vector<oci::Mount> plan_mounts(const ContainerOptions& options, const MountPlanInput& input);

// "/a//b/../c/" → "/a/c". Throws kInvalid with docker's words where `path` is not absolute.
std::string clean_destination(const std::string& path);

}  // namespace engine
