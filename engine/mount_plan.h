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
  fs::path source;  // empty for tmpfs, and for what has a file system of its own
  // Of a volume with driver options: what is mounted anew for each container.
  std::string file_system, device;
  std::vector<std::string> file_system_options;
  std::uint32_t owner_uid = 0, owner_gid = 0;  // of a source whose ids are mapped
};

struct MountPlanInput {
  std::vector<ResolvedMount> mounts;
  fs::path hosts, hostname, resolv_conf;  // on the host; empty: left to the image
  fs::path init_program;                  // bound at kInitPath where not empty
  std::uint32_t uid = 0, gid = 0;         // of the container's first process
  bool has_user_namespace = false;
  std::string shm_namespace;  // mount namespace of the container whose /dev/shm is shared
};

// "nosuid,size=64m" → its options; empty ones are left out.
std::vector<std::string> split_mount_options(const std::string& text);

// Everybody as they are, but for two, who change places; see user_namespaces(7).
std::vector<oci::IdMapping> plan_swap(std::uint32_t one, std::uint32_t other);

inline constexpr char kInitPath[] = "/sbin/docker-init";

// Parents before children; a mount of the user's takes the place of a default one of the same
// destination. Throws kInvalid for two at one place, or a destination that is "/" or relative.
std::vector<oci::Mount> plan_mounts(const ContainerOptions& options, const MountPlanInput& input);

// "/a//b/../c/" → "/a/c". Throws kInvalid with docker's words where `path` is not absolute.
std::string clean_destination(const std::string& path);

}  // namespace engine
