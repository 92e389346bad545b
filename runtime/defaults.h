// Defaults: docker's capabilities, seccomp profile, masked paths and device rules as values of the
// runtime spec.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"

namespace runtime {

const std::vector<std::string>& default_capabilities();  // docker's 14
const std::vector<std::string>& all_capabilities();      // of the running kernel
// docker's default profile with its conditions (capabilities, architecture, kernel) resolved for
// this set.
oci::Seccomp default_seccomp(const std::set<std::string>& capabilities);
// A profile in docker's JSON format (--security-opt seccomp=FILE). Throws kInvalid.
oci::Seccomp parse_seccomp_profile(std::string_view json,
                                   const std::set<std::string>& capabilities);
std::vector<oci::DeviceRule> default_device_rules();
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();
std::vector<oci::Mount> default_mounts();  // proc, dev, pts, sys, cgroup, mqueue, shm as docker's

}  // namespace runtime
