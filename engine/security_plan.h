// Security plan: capabilities and --security-opt as values; pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/runtime_spec.h"

namespace engine {

struct SecurityOptions {  // --security-opt, decoded
  enum class SeccompMode { kDefault, kUnconfined, kFile } seccomp = SeccompMode::kDefault;
  // Its content; what a user typed is its path, which load_seccomp_files() replaces.
  std::string seccomp_profile;
  bool no_new_privileges = false;
  bool system_paths_unconfined = false;
  std::string apparmor;             // empty: not said; "unconfined"
  std::vector<std::string> labels;  // "type:x", "disable"
};

// Throws kInvalid for an option that docker does not know either, in its words.
SecurityOptions parse_security_options(const std::vector<std::string>& options);

// docker's rules: 14 by default; `drop` then `add`, ALL in either; privileged: every one of `all`.
// Throws kInvalid for an unknown name.
std::vector<std::string> plan_capabilities(const ContainerOptions& options,
                                           const std::vector<std::string>& all);

// Bounding, permitted and (for root) effective; never inheritable or ambient (CVE-2022-24769).
oci::Capabilities make_capability_sets(const std::vector<std::string>& names, std::uint32_t uid);

}  // namespace engine
