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

TEST(Mounts, SubpathsAreLeftToTheRuntime) {
  auto volume = mount(MountOption::Kind::kVolume, "/v/data/_data", "/a");
  volume.option.subpath = "x/y";
  const auto mounts = plan_mounts({}, {.mounts = {volume}});
  EXPECT_EQ(find(mounts, "/a")->source, "/v/data/_data");
  EXPECT_TRUE(has(find(mounts, "/a"), "x-sampan.subpath=x/y"));
}

TEST(Mounts, AVolumeMayBeAFileSystem) {
  auto volume = mount(MountOption::Kind::kVolume, "nfs", "/a");
  volume.source.clear();
  volume.file_system = "nfs4";
  volume.device = ":/export";
  volume.file_system_options = {"addr=192.0.2.1"};
  volume.option.readonly = true;
  const auto mounts = plan_mounts({}, {.mounts = {volume}});
  const auto* nfs = find(mounts, "/a");
  EXPECT_EQ(nfs->type, "nfs4");
  EXPECT_EQ(nfs->source, ":/export");
  EXPECT_EQ(nfs->options, (Words{"addr=192.0.2.1", "ro", "x-sampan.host"}));
}

TEST(Mounts, OwnersChangePlacesWithTheUser) {
  EXPECT_EQ(plan_swap(0, 1000),
            (std::vector<oci::IdMapping>{
                {0, 1000, 1}, {1, 1, 999}, {1000, 0, 1}, {1001, 1001, 4294966294}}));
  EXPECT_EQ(plan_swap(5, 5),
            (std::vector<oci::IdMapping>{{0, 0, 5}, {5, 5, 1}, {6, 6, 4294967289}}));
  auto source = bind("/h", "/a");
  source.option.id_mapped = true;
  source.owner_uid = 1000;
  source.owner_gid = 1001;
  const auto mounts = plan_mounts({}, {.mounts = {source}});
  EXPECT_EQ(find(mounts, "/a")->uid_mappings, plan_swap(1000, 0));
  EXPECT_EQ(find(mounts, "/a")->gid_mappings, plan_swap(1001, 0));
  EXPECT_TRUE(has(find(mounts, "/a"), "idmap"));
  const auto same = plan_mounts({}, {.mounts = {source}, .uid = 1000, .gid = 1001});
  EXPECT_FALSE(has(find(same, "/a"), "idmap"));
}

TEST(Mounts, InAUserNamespaceVolumesBelongToTheContainersIds) {
  const auto volume = mount(MountOption::Kind::kVolume, "/v", "/volume");
  const auto mounts = plan_mounts(
      {},
      {.mounts = {volume, bind("/h", "/bind")}, .hosts = "/s/hosts", .has_user_namespace = true});
  EXPECT_TRUE(has(find(mounts, "/volume"), "idmap"));
  EXPECT_TRUE(find(mounts, "/volume")->uid_mappings.empty());
  EXPECT_TRUE(has(find(mounts, "/etc/hosts"), "idmap"));
  EXPECT_FALSE(has(find(mounts, "/bind"), "idmap"));
}

TEST(Mounts, SharedMemoryFollowsTheIpcMode) {
  ContainerOptions options;
  options.ipc_mode = "none";
  EXPECT_EQ(find(plan_mounts(options, {}), "/dev/shm"), nullptr);
  options.ipc_mode = "host";
  EXPECT_EQ(find(plan_mounts(options, {}), "/dev/shm")->type, "bind");
  options.ipc_mode = "container:x";
  const auto mounts = plan_mounts(options, {.shm_namespace = "/proc/9/ns/mnt"});
  EXPECT_TRUE(has(find(mounts, "/dev/shm"), "x-sampan.namespace=/proc/9/ns/mnt"));
}

TEST(Mounts, ReadOnlyReachesWhatIsMountedBelow) {
  auto source = bind("/h", "/a");
  source.option.readonly = true;
  EXPECT_TRUE(has(find(plan_mounts({}, {.mounts = {source}}), "/a"), "rro"));
  source.option.shallow_readonly = true;
  EXPECT_FALSE(has(find(plan_mounts({}, {.mounts = {source}}), "/a"), "rro"));
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
