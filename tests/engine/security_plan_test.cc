#include "engine/security_plan.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;
const Words kAll = [] {
  Words all = runtime::default_capabilities();
  all.insert(all.end(), {"CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_TIME"});
  return all;
}();

Words plan(Words add, Words drop, bool privileged = false) {
  ContainerOptions options;
  options.cap_add = std::move(add);
  options.cap_drop = std::move(drop);
  options.privileged = privileged;
  return plan_capabilities(options, kAll);
}

bool has(const Words& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(Capabilities, FourteenByDefault) {
  EXPECT_EQ(plan({}, {}), runtime::default_capabilities());
  EXPECT_EQ(plan({}, {}).size(), 14U);
}

TEST(Capabilities, AreAddedAndDropped) {
  EXPECT_TRUE(has(plan({"net_admin"}, {}), "CAP_NET_ADMIN"));
  EXPECT_FALSE(has(plan({}, {"CAP_CHOWN"}), "CAP_CHOWN"));
  EXPECT_EQ(plan({}, {"ALL"}), Words{});
  EXPECT_EQ(plan({"SYS_TIME"}, {"all"}), Words{"CAP_SYS_TIME"});
  EXPECT_EQ(plan({"ALL"}, {}), kAll);
  EXPECT_FALSE(has(plan({"ALL"}, {"SYS_ADMIN"}), "CAP_SYS_ADMIN"));
  EXPECT_TRUE(has(plan({"CHOWN"}, {"CHOWN"}), "CAP_CHOWN"));
  EXPECT_EQ(plan({}, {"ALL"}, true), kAll);
}

TEST(Capabilities, UnknownNamesAreRefused) {
  EXPECT_THROW(plan({"FLY"}, {}), base::Error);
  EXPECT_THROW(plan({}, {"CAP_CAP_CHOWN"}), base::Error);
}

TEST(Capabilities, AreNeverInheritableOrAmbient) {  // CVE-2022-24769
  const oci::Capabilities root = make_capability_sets(kAll, 0);
  EXPECT_EQ(root.effective, kAll);
  EXPECT_TRUE(root.inheritable.empty());
  EXPECT_TRUE(root.ambient.empty());
  const oci::Capabilities user = make_capability_sets(kAll, 1000);
  EXPECT_EQ(user.bounding, kAll);
  EXPECT_TRUE(user.effective.empty());
  EXPECT_TRUE(user.permitted.empty());
}

TEST(SecurityOptions, AreDecoded) {
  using Mode = SecurityOptions::SeccompMode;
  EXPECT_EQ(parse_security_options({}).seccomp, Mode::kDefault);
  EXPECT_EQ(parse_security_options({"seccomp=unconfined"}).seccomp, Mode::kUnconfined);
  EXPECT_EQ(parse_security_options({"seccomp:unconfined"}).seccomp, Mode::kUnconfined);
  EXPECT_EQ(parse_security_options({"seccomp=/a=b.json"}).seccomp_profile, "/a=b.json");
  EXPECT_TRUE(parse_security_options({"no-new-privileges"}).no_new_privileges);
  EXPECT_TRUE(parse_security_options({"no-new-privileges:true"}).no_new_privileges);
  EXPECT_FALSE(parse_security_options({"no-new-privileges=false"}).no_new_privileges);
  EXPECT_TRUE(parse_security_options({"systempaths=unconfined"}).system_paths_unconfined);
  EXPECT_EQ(parse_security_options({"seccomp=builtin"}).seccomp, Mode::kDefault);
  EXPECT_EQ(parse_security_options({"apparmor=unconfined"}).apparmor, "unconfined");
  EXPECT_EQ(parse_security_options({"label=type:x", "label:disable"}).labels,
            (Words{"type:x", "disable"}));
}

std::string refusal_of(const char* option) {
  try {
    parse_security_options({option});
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    return error.what();
  }
  return "accepted";
}

TEST(SecurityOptions, AreRefusedInDockersWords) {
  for (const char* bad : {"", "seccomp", "apparmor", "disable", "unknown"}) {
    EXPECT_EQ(refusal_of(bad), "Invalid --security-opt: \"" + std::string(bad) + "\"");
  }
  for (const char* bad : {"seccomp=", "no-new-privileges=maybe",
                          "no-new-privileges:", "systempaths=x", "unknown=1", "unknown:1"}) {
    EXPECT_EQ(refusal_of(bad), "invalid --security-opt 2: \"" + std::string(bad) + "\"");
  }
}

}  // namespace
}  // namespace engine
