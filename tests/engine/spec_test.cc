#include "engine/spec.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

SpecInput example() {
  SpecInput input;
  input.id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  input.image.cmd = {"sh"};
  input.image.env = {"LANG=C"};
  input.user_files.passwd = "root:x:0:0::/root:/bin/sh\n";
  input.mounts.hosts = "/run/s/hosts";
  input.mounts.hostname = "/run/s/hostname";
  input.mounts.resolv_conf = "/run/s/resolv.conf";
  input.host.capabilities = {"CAP_CHOWN", "CAP_SYS_ADMIN"};
  input.host.hostname = "host";
  input.cgroups_path = "/sampan/0123";
  input.options.security_opt = {"seccomp=unconfined"};  // its profile has golden files of its own
  return input;
}

void expect_golden(const std::string& name, const oci::RuntimeSpec& spec) {
  const std::string path = std::string(SAMPAN_SOURCE_DIR) + "/tests/engine/golden/" + name;
  const std::string text =
      nlohmann::ordered_json::parse(oci::render_runtime_spec(spec)).dump(2) + "\n";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) base::write_file(path, text);
  EXPECT_EQ(text, base::find_file(path).value_or("")) << "UPDATE_GOLDEN=1 rewrites " << path;
}

bool has_namespace(const oci::RuntimeSpec& spec, oci::NamespaceType type) {
  return std::any_of(spec.linux_.namespaces.begin(), spec.linux_.namespaces.end(),
                     [&](const oci::Namespace& space) { return space.type == type; });
}

TEST(Spec, DefaultRun) { expect_golden("spec_default.json", plan_spec(example())); }

TEST(Spec, PrivilegedRun) {
  SpecInput input = example();
  input.options.privileged = true;
  input.host.devices = {{.node = {.path = "/dev/fuse",
                                  .type = 'c',
                                  .major = 10,
                                  .minor = 229,
                                  .file_mode = 0666,
                                  .uid = 0,
                                  .gid = 0}}};
  expect_golden("spec_privileged.json", plan_spec(input));
}

TEST(Spec, TheDefaultIsConfinedByAFilter) {
  SpecInput input = example();
  input.options.security_opt.clear();
  EXPECT_TRUE(plan_spec(input).linux_.seccomp.has_value());
  input.options.privileged = true;
  EXPECT_FALSE(plan_spec(input).linux_.seccomp.has_value());
  input.options.privileged = false;
  input.options.security_opt = {R"(seccomp={"defaultAction":"SCMP_ACT_ERRNO"})"};
  EXPECT_EQ(plan_spec(input).linux_.seccomp->default_action, "SCMP_ACT_ERRNO");
}

TEST(Spec, ANamedApparmorProfileIsInTheSpec) {
  SpecInput input = example();
  input.options.security_opt = {"apparmor=mine"};
  EXPECT_EQ(plan_spec(input).process->apparmor_profile, "mine");
  input.options.security_opt = {"apparmor=unconfined"};
  EXPECT_EQ(plan_spec(input).process->apparmor_profile, "");
}

TEST(Spec, HostNetworkHasNoNamespaceAndTheHostsName) {
  SpecInput input = example();
  input.options.network = NetworkMode::kHost;
  const oci::RuntimeSpec spec = plan_spec(input);
  EXPECT_FALSE(has_namespace(spec, oci::NamespaceType::kNetwork));
  EXPECT_TRUE(has_namespace(spec, oci::NamespaceType::kUts));
  EXPECT_EQ(spec.hostname, "host");
  EXPECT_TRUE(spec.linux_.sysctl.empty());
}

TEST(Spec, HostnameIsTwelveDigitsOfTheId) {
  EXPECT_EQ(plan_spec(example()).hostname, "0123456789ab");
  SpecInput input = example();
  input.options.hostname = "mine";
  EXPECT_EQ(plan_spec(input).hostname, "mine");
}

TEST(Spec, InitGoesBeforeTheProgram) {
  SpecInput input = example();
  input.options.init = true;
  EXPECT_EQ(plan_spec(input).process->args, (std::vector<std::string>{kInitPath, "--", "sh"}));
}

TEST(Spec, UnconfinedSystemPathsAreNeitherMaskedNorReadOnly) {
  SpecInput input = example();
  input.options.security_opt.emplace_back("systempaths=unconfined");
  EXPECT_TRUE(plan_spec(input).linux_.masked_paths.empty());
  EXPECT_TRUE(plan_spec(input).linux_.readonly_paths.empty());
}

TEST(Spec, RelativeWorkingDirectoryIsRefused) {
  SpecInput input = example();
  input.options.working_dir = "x";
  EXPECT_THROW(plan_spec(input), base::Error);
}

TEST(Spec, WhatIsRenderedIsWhatIsRead) {
  const oci::RuntimeSpec spec = plan_spec(example());
  EXPECT_EQ(oci::parse_runtime_spec(oci::render_runtime_spec(spec)), spec);
}

}  // namespace
}  // namespace engine
