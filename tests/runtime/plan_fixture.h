// Specs, hosts and comparisons for tests of plans, which are pure.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "runtime/defaults.h"
#include "runtime/plan.h"

namespace runtime {

using oci::NamespaceType;

inline void expect_golden(const std::string& name, const std::string& text) {
  const fs::path path = fs::path(SAMPAN_SOURCE_DIR) / "tests/runtime/golden" / (name + ".txt");
  if (std::getenv("UPDATE_GOLDEN") != nullptr) base::write_file(path, text);
  EXPECT_EQ(text, base::find_file(path).value_or("")) << "UPDATE_GOLDEN=1 rewrites " << path;
}

inline oci::RuntimeSpec make_spec() {
  oci::RuntimeSpec spec;
  spec.process.emplace();
  spec.process->args = {"sh", "-c", "true"};
  spec.process->env = {"PATH=/usr/bin:/bin"};
  spec.process->capabilities.emplace();
  auto& sets = *spec.process->capabilities;
  sets.bounding = sets.effective = sets.permitted = {"CAP_CHOWN", "CAP_KILL"};
  spec.hostname = "boat";
  spec.mounts = default_mounts();
  using enum NamespaceType;
  for (const auto type : {kMount, kPid, kNetwork, kIpc, kUts, kCgroup}) {
    spec.linux_.namespaces.push_back({.type = type, .path = {}});
  }
  spec.linux_.masked_paths = {"/proc/kcore", "/proc/keys"};
  spec.linux_.readonly_paths = {"/proc/sys"};
  return spec;
}

inline CreateOptions make_options() {
  CreateOptions options;
  options.id = "one";
  options.bundle = "/bundle";
  options.state_dir = "/run/one";
  options.overlay =
      RootOverlay{.lower = {"/layers/b", "/layers/a"}, .upper = "/c/upper", .work = "/c/work"};
  return options;
}

inline CgroupPlan make_cgroups() {
  CgroupPlan cgroups;
  for (const char* name : {"cpu,cpuacct", "memory"}) {
    const std::string directory = std::string("/sys/fs/cgroup/") + name + "/sampan/one";
    cgroups.directories.push_back(directory);
    cgroups.task_files.push_back(directory + "/tasks");
  }
  return cgroups;
}

inline HostFacts make_host() {
  HostFacts host;
  host.held_capabilities = host.known_capabilities = (1ULL << 41U) - 1;
  host.cgroup_layout = CgroupLayout::kV1;
  host.cgroup_v1 = {
      {.mount_point = "/sys/fs/cgroup/cpu,cpuacct",
       .controllers = {"cpu", "cpuacct"},
       .own_path = "/"},
      {.mount_point = "/sys/fs/cgroup/memory", .controllers = {"memory"}, .own_path = "/"},
      {.mount_point = "/sys/fs/cgroup/freezer", .controllers = {"freezer"}, .own_path = "/"}};
  return host;
}

inline Plan plan_of(const oci::RuntimeSpec& spec, const CreateOptions& options = make_options(),
                    const HostFacts& host = make_host()) {
  static const SeccompProgram filter{.instructions = {{.code = 6, .value = 0x7fff0000}},
                                     .flags = 0,
                                     .has_listener = false,
                                     .listener_path = {},
                                     .listener_metadata = {}};
  return plan_create(spec, options, make_cgroups(), &filter, host);
}

// Where in the plan a step of this kind first is; -1: nowhere.
inline int position(const Plan& plan, StepKind kind) {
  const auto found = std::find_if(plan.steps.begin(), plan.steps.end(),
                                  [&](const Step& step) { return step.kind == kind; });
  return found == plan.steps.end() ? -1 : static_cast<int>(found - plan.steps.begin());
}

inline std::string error_of(const oci::RuntimeSpec& spec,
                            const CreateOptions& options = make_options()) {
  try {
    plan_of(spec, options);
  } catch (const base::Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace runtime
