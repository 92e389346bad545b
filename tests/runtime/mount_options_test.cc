#include "runtime/mount_options.h"

#include <linux/mount.h>

#include <gtest/gtest.h>

#include "base/error.h"

namespace runtime {
namespace {

TEST(MountOptions, SortsThemByWhoObeysThem) {
  const MountOptions options = parse_mount_options(
      {"rbind", "ro", "nosuid", "rnoexec", "rslave", "size=64m", "newinstance", "defaults", ""});
  EXPECT_TRUE(options.bind);
  EXPECT_TRUE(options.recursive_bind);
  EXPECT_EQ(options.set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  EXPECT_EQ(options.recursive_set, static_cast<std::uint64_t>(MOUNT_ATTR_NOEXEC));
  EXPECT_EQ(options.recursive_propagation, static_cast<std::uint64_t>(MS_SLAVE));
  EXPECT_EQ(options.propagation, 0U);
  const std::vector<std::pair<std::string, std::string>> data = {{"size", "64m"},
                                                                 {"newinstance", ""}};
  EXPECT_EQ(options.data, data);
}

TEST(MountOptions, TheLastOfTwoOppositesCounts) {
  EXPECT_EQ(parse_mount_options({"ro", "rw"}).set, 0U);
  EXPECT_EQ(parse_mount_options({"ro", "rw"}).clear, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
  EXPECT_EQ(parse_mount_options({"rw", "ro"}).set, static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
  EXPECT_EQ(parse_mount_options({"rw", "ro"}).clear, 0U);
}

TEST(MountOptions, AccessTimesAreOneField) {
  const MountOptions none = parse_mount_options({"strictatime", "noatime"});
  EXPECT_EQ(none.set, static_cast<std::uint64_t>(MOUNT_ATTR_NOATIME));
  EXPECT_EQ(none.clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
  const MountOptions relative = parse_mount_options({"noatime", "relatime"});
  EXPECT_EQ(relative.set, 0U);
  EXPECT_EQ(relative.clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
}

TEST(MountOptions, RecursiveOnesStartWithR) {
  EXPECT_EQ(parse_mount_options({"rro"}).recursive_set,
            static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY));
  EXPECT_EQ(parse_mount_options({"relatime"}).recursive_clear, 0U);
  EXPECT_EQ(parse_mount_options({"rrelatime"}).recursive_clear,
            static_cast<std::uint64_t>(MOUNT_ATTR__ATIME));
}

TEST(MountOptions, RefusesWhatItMustNotIgnore) {
  for (const char* option :
       {"idmap=uids=0-1-2", "ridmap=uids=0-1-2", "copy-symlink", "src-nofollow"}) {
    EXPECT_THROW(parse_mount_options({option}), base::Error) << option;
  }
}

TEST(MountOptions, OursSayWhereAMountIsMadeFrom) {
  const MountOptions options = parse_mount_options(
      {"bind", "x-sampan.subpath=a/b", "x-sampan.namespace=/proc/1/ns/mnt", "x-sampan.host"});
  EXPECT_EQ(options.subpath, "a/b");
  EXPECT_EQ(options.mount_namespace, "/proc/1/ns/mnt");
  EXPECT_TRUE(options.by_parent);
  EXPECT_TRUE(options.data.empty());
}

TEST(MountOptions, Propagation) {
  EXPECT_EQ(find_propagation("rshared").type, static_cast<std::uint64_t>(MS_SHARED));
  EXPECT_TRUE(find_propagation("rshared").recursive);
  EXPECT_FALSE(find_propagation("unbindable").recursive);
  EXPECT_EQ(find_propagation("ro").type, 0U);
}

}  // namespace
}  // namespace runtime
