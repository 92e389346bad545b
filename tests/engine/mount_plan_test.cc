#include "engine/mount_plan.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;

ResolvedMount mount(MountOption::Kind kind, const char* source, const char* target) {
  ResolvedMount resolved;
  resolved.option.kind = kind;
  resolved.option.source = source;
  resolved.option.target = target;
  resolved.source = source;
  return resolved;
}
ResolvedMount bind(const char* source, const char* target) {
  return mount(MountOption::Kind::kBind, source, target);
}

const oci::Mount* find(const std::vector<oci::Mount>& mounts, const std::string& destination) {
  const auto it = std::find_if(mounts.begin(), mounts.end(), [&](const oci::Mount& candidate) {
    return candidate.destination == destination;
  });
  return it == mounts.end() ? nullptr : &*it;
}

bool has(const oci::Mount* mount, const std::string& word) {
  return std::find(mount->options.begin(), mount->options.end(), word) != mount->options.end();
}

TEST(Mounts, ParentsComeBeforeChildren) {
  const auto mounts = plan_mounts({}, {.mounts = {bind("/h1", "/a/b/c"), bind("/h2", "/a")}});
  const auto* child = find(mounts, "/a/b/c");
  const auto* parent = find(mounts, "/a");
  ASSERT_TRUE(child != nullptr && parent != nullptr);
  EXPECT_LT(parent, child);
  EXPECT_EQ(child->options, (Words{"rbind", "rw", "rprivate"}));
}

TEST(Mounts, TheUsersTakeThePlaceOfDefaults) {
  const auto mounts =
      plan_mounts({}, {.mounts = {bind("/h", "/dev/shm/"), bind("/r", "/etc/resolv.conf")},
                       .resolv_conf = "/state/resolv.conf"});
  EXPECT_EQ(std::count_if(mounts.begin(), mounts.end(),
                          [](const oci::Mount& m) { return m.destination == "/dev/shm"; }),
            1);
  EXPECT_EQ(find(mounts, "/dev/shm")->type, "bind");
  EXPECT_EQ(find(mounts, "/etc/resolv.conf")->source, "/r");
}

TEST(Mounts, TwoAtOnePlaceAreRefused) {
  EXPECT_THROW(plan_mounts({}, {.mounts = {bind("/a", "/x"), bind("/b", "/x/.")}}), base::Error);
}

TEST(Mounts, SharedMemoryHasTheSizeAskedFor) {
  ContainerOptions options;
  options.shm_size = 4096;
  EXPECT_TRUE(has(find(plan_mounts(options, {}), "/dev/shm"), "size=4096"));
}

TEST(Mounts, TmpfsIsStrictUnlessToldOtherwise) {
  ResolvedMount tmpfs = mount(MountOption::Kind::kTmpfs, "", "/t");
  EXPECT_EQ(find(plan_mounts({}, {.mounts = {tmpfs}}), "/t")->options,
            (Words{"noexec", "nosuid", "nodev"}));
  tmpfs.option.tmpfs_options = "exec,size=1m";
  EXPECT_EQ(find(plan_mounts({}, {.mounts = {tmpfs}}), "/t")->options,
            (Words{"nosuid", "nodev", "exec", "size=1m"}));
}

TEST(Mounts, PrivilegedSeesTheHostsSysWritable) {
  ContainerOptions options;
  EXPECT_TRUE(has(find(plan_mounts(options, {}), "/sys"), "ro"));
  options.privileged = true;
  EXPECT_FALSE(has(find(plan_mounts(options, {}), "/sys"), "ro"));
  EXPECT_FALSE(has(find(plan_mounts(options, {}), "/sys/fs/cgroup"), "ro"));
}

TEST(Mounts, ReadOnlyRootAlsoGuardsTheFilesOfEtc) {
  ContainerOptions options;
  options.read_only = true;
  const auto mounts = plan_mounts(options, {.hosts = "/state/hosts"});
  EXPECT_TRUE(has(find(mounts, "/etc/hosts"), "ro"));
}

TEST(Destination, IsCleaned) {
  EXPECT_EQ(clean_destination("/a//b/./c/"), "/a/b/c");
  EXPECT_EQ(clean_destination("/a/../../etc"), "/etc");
  for (const char* bad : {"", "a", "./a", "/", "/..", "/a/.."}) {
    EXPECT_THROW(clean_destination(bad), base::Error) << bad;
  }
}

}  // namespace
}  // namespace engine
