// What only root can put on disk: owners, devices, whiteouts, the overlay's and other attributes.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cleanup.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

std::string xattr_of(const fs::path& path, const char* name) {
  std::string value(65536, '\0');
  const ssize_t size = lgetxattr(path.c_str(), name, value.data(), value.size());
  if (size < 0) return "(none)";
  value.resize(static_cast<std::size_t>(size));
  return value;
}

bool is_whiteout(const fs::path& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

bool is_opaque(const fs::path& path) { return xattr_of(path, "trusted.overlay.opaque") == "y"; }

class UnpackAsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  storage::LayerUnpacker::Result unpack_here(const Tar& tar) { return unpack(path(), tar.end()); }
  const fs::path& path() const { return layer_.path(); }

  TempDir layer_;
};

TEST_F(UnpackAsRoot, KeepsOwnersModesAndCapabilities) {
  using namespace std::string_literals;
  const std::string capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00"s +
                                 "\x00\x00\x00\x00\x00\x00\x00\x00"s;  // cap_net_bind_service=ep
  TarItem setuid = {.type = '0', .name = "su", .data = "x", .mode = 04755, .uid = 1000, .gid = 8};
  TarItem ping = {.type = '0', .name = "ping", .data = "x", .mode = 02711, .uid = 70000};
  ping.pax = {{"SCHILY.xattr.security.capability", capability}};
  unpack_here(Tar()
                  .add(setuid)
                  .add(ping)
                  .add({.type = '0', .name = "far", .uid = 3'000'000'000, .gid = 4'294'967'294})
                  .add({.type = '5', .name = "sticky/", .mode = 01777, .uid = 5, .gid = 6})
                  .add({.type = '5', .name = "group/", .mode = 02775, .uid = 0, .gid = 50})
                  .file("group/inside")
                  .add({.type = '2', .name = "link", .link = "su", .uid = 7, .gid = 7})
                  .add({.type = '5', .name = "closed/", .mode = 0})
                  .file("closed/in"));
  EXPECT_EQ(status_of(path() / "su").st_mode & 07777U, 04755U);
  EXPECT_EQ(status_of(path() / "su").st_uid, 1000U);
  EXPECT_EQ(status_of(path() / "su").st_gid, 8U);
  EXPECT_EQ(status_of(path() / "ping").st_mode & 07777U, 02711U);
  EXPECT_EQ(xattr_of(path() / "ping", "security.capability"), capability);
  EXPECT_EQ(status_of(path() / "far").st_uid, 3'000'000'000U);
  EXPECT_EQ(status_of(path() / "far").st_gid, 4'294'967'294U);
  EXPECT_EQ(status_of(path() / "sticky").st_mode & 07777U, 01777U);
  EXPECT_EQ(status_of(path() / "group").st_mode & 07777U, 02775U);
  EXPECT_EQ(status_of(path() / "group/inside").st_gid, 0U);
  EXPECT_EQ(status_of(path() / "link").st_uid, 7U);
  EXPECT_EQ(status_of(path() / "su").st_uid, 1000U);  // not changed through the link
  EXPECT_EQ(status_of(path() / "closed").st_mode & 07777U, 0U);
}

TEST_F(UnpackAsRoot, FiltersAttributes) {
  using namespace std::string_literals;
  TarItem item = {.type = '0', .name = "f"};
  item.pax = {{"SCHILY.xattr.user.kept", "a\0b"s},
              {"LIBARCHIVE.xattr.user.encoded", "aGVsbG8="},
              {"SCHILY.xattr.trusted.overlay.opaque", "y"},
              {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.other", "1"},
              {"SCHILY.xattr.security.selinux", "label"},
              {"SCHILY.xattr.security.ima", "x"}};
  TarItem folder = item;
  folder.type = '5';
  folder.name = "d";
  TarItem pipe = item;
  pipe.type = '6';
  pipe.name = "p";
  TarItem link = item;
  link.type = '2';
  link.name = "l";
  link.link = "f";
  unpack_here(Tar().add(item).add(folder).add(pipe).add(link));
  for (const char* name : {"f", "d"}) {
    EXPECT_EQ(xattr_of(path() / name, "user.kept"), "a\0b"s);
    EXPECT_EQ(xattr_of(path() / name, "user.encoded"), "hello");
  }
  for (const char* name : {"f", "d", "p", "l"}) {
    for (const char* attribute : {"trusted.overlay.opaque", "trusted.overlay.redirect",
                                  "trusted.other", "security.selinux", "security.ima"}) {
      EXPECT_EQ(xattr_of(path() / name, attribute), "(none)") << name << " " << attribute;
    }
  }
}

TEST_F(UnpackAsRoot, ACapabilityThatIsNoneIsTheTarsFault) {
  TarItem item = {.type = '0', .name = "f"};
  item.pax = {{"SCHILY.xattr.security.capability", "junk"}};
  const auto [kind, text] = error_of([&] { unpack_here(Tar().add(item)); });
  EXPECT_EQ(kind, ErrorKind::kInvalid);
  EXPECT_EQ(text, "f: set extended attribute security.capability: no valid value");
}

TEST_F(UnpackAsRoot, AttributesTooLargeForTheFileSystemAreNoFullDisk) {
  TarItem item = {.type = '0', .name = "f"};
  item.pax = {{"SCHILY.xattr.user.large", std::string(40'000, 'x')}};
  const auto [kind, text] = error_of([&] { unpack_here(Tar().add(item)); });
  // ext4 refuses 40 kB, tmpfs and xfs take them.
  EXPECT_TRUE(kind == ErrorKind::kUnsupported || text == "no error") << text;
  item.pax = {{"SCHILY.xattr.user.large", std::string(70'000, 'x')}};
  EXPECT_EQ(error_of([&] { unpack_here(Tar().add(item)); }).first, ErrorKind::kInvalid);
}

TEST_F(UnpackAsRoot, MakesDevicesButNoForgedWhiteouts) {
  unpack_here(
      Tar()
          .add({.type = '3', .name = "null", .mode = 0666, .uid = 3, .major = 1, .minor = 3})
          .add({.type = '4', .name = "disk", .mode = 0660, .major = 259, .minor = 1048575})
          .add({.type = '3', .name = "forged", .major = 0, .minor = 0}));
  EXPECT_EQ(status_of(path() / "null").st_rdev, makedev(1, 3));
  EXPECT_EQ(status_of(path() / "null").st_mode, S_IFCHR | 0666U);
  EXPECT_EQ(status_of(path() / "null").st_uid, 3U);
  EXPECT_EQ(status_of(path() / "disk").st_rdev, makedev(259, 1048575));
  EXPECT_FALSE(fs::exists(fs::symlink_status(path() / "forged")));
}

TEST_F(UnpackAsRoot, TurnsWhiteoutsIntoTheOverlays) {
  const auto result = unpack_here(Tar()
                                      .dir("./")
                                      .dir("a/")
                                      .file("a/.wh.gone")
                                      .dir(".wh.gone-too/")
                                      .hard_link(".wh.three", "nowhere")
                                      .dir("o/")
                                      .file("o/.wh..wh..opq")
                                      .file("o/kept")
                                      .file("new/.wh..wh..opq")
                                      .file("was-file")
                                      .file("was-file/.wh..wh..opq")
                                      .file("deep/er/.wh.x"));
  EXPECT_TRUE(is_whiteout(path() / "a/gone"));
  EXPECT_TRUE(is_whiteout(path() / "gone-too"));
  EXPECT_TRUE(is_whiteout(path() / "three"));
  EXPECT_TRUE(is_whiteout(path() / "deep/er/x"));
  EXPECT_TRUE(is_opaque(path() / "o"));
  EXPECT_TRUE(is_opaque(path() / "new"));
  EXPECT_TRUE(is_opaque(path() / "was-file"));
  EXPECT_FALSE(is_opaque(path() / "a"));
  for (const std::string& name : names_in(path()))
    EXPECT_THAT(name, testing::Not(HasSubstr(".wh.")));
  EXPECT_EQ(result.record.implied,
            (std::vector<std::string>{"deep/er", "deep", "new", "was-file"}));
}

TEST_F(UnpackAsRoot, OrderInsideALayerDoesNotMatterToWhiteouts) {
  unpack_here(Tar()
                  .file("file")
                  .file(".wh.file")
                  .dir("dir")
                  .file("dir/x")
                  .file(".wh.dir")
                  .file(".wh.late-file")
                  .file("late-file", "1")
                  .file(".wh.late-dir")
                  .dir("late-dir")
                  .file(".wh.implied")
                  .file("implied/x", "1")
                  .file(".wh.both")
                  .file("both/.wh.inner")
                  .file("other/.wh.inner")
                  .file(".wh.other")
                  .dir("opaque")
                  .file("opaque/.wh.early")
                  .file("opaque/.wh..wh..opq")
                  .file("opaque/.wh.late")
                  .file("nodir")
                  .file("nodir/.wh.x"));
  EXPECT_TRUE(S_ISREG(status_of(path() / "file").st_mode));
  EXPECT_TRUE(is_opaque(path() / "dir"));
  EXPECT_TRUE(fs::exists(path() / "dir/x"));
  EXPECT_EQ(content(path() / "late-file"), "1");
  EXPECT_TRUE(is_opaque(path() / "late-dir"));
  EXPECT_TRUE(is_opaque(path() / "implied"));
  EXPECT_TRUE(is_whiteout(path() / "both"));
  EXPECT_TRUE(is_whiteout(path() / "other"));
  EXPECT_TRUE(is_opaque(path() / "opaque"));
  EXPECT_TRUE(fs::is_empty(path() / "opaque"));
  EXPECT_TRUE(S_ISREG(status_of(path() / "nodir").st_mode));
}

TEST_F(UnpackAsRoot, WhiteoutNamesInTheMiddleOfAPathDeleteNothing) {
  unpack_here(Tar()
                  .file(".wh.etc/somefile", "x")
                  .dir(".wh..wh.plnk/")
                  .file(".wh..wh.plnk/1.2", "x")
                  .file(".wh..wh.aufs")
                  .file("a"));
  EXPECT_EQ(names_in(path()), (std::vector<std::string>{"a"}));
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh."}) {
    const TempDir into;
    EXPECT_EQ(error_of([&] { unpack(into.path(), Tar().file(name).end()); }).first,
              ErrorKind::kInvalid)
        << name;
  }
}

TEST_F(UnpackAsRoot, HardLinksCannotReachWhatTheLayerDeletes) {
  for (const Tar& tar :
       {Tar().file(".wh.a").hard_link("b", "a"), Tar().hard_link("b", "a").file(".wh.a")}) {
    const TempDir into;
    EXPECT_THAT(error_of([&] { unpack(into.path(), tar.end()); }).second,
                HasSubstr("a file that this layer deletes"));
  }
}

TEST_F(UnpackAsRoot, AFullDiskIsSaidPlainly) {
  const fs::path mount = path() / "small";
  fs::create_directory(mount);
  const std::string command = "mount -t tmpfs -o size=1m none " + mount.string();
  if (std::system(command.c_str()) != 0) GTEST_SKIP() << "needs a mount namespace of its own";
  const base::Cleanup unmount(
      [&] { static_cast<void>(!std::system(("umount " + mount.string()).c_str())); });
  fs::create_directory(mount / "layer");
  Tar tar;
  for (int i = 0; i < 100; ++i) tar.file("f" + std::to_string(i), std::string(50'000, 'x'));
  const auto [kind, text] = error_of([&] { unpack(mount / "layer", tar.end()); });
  EXPECT_EQ(kind, ErrorKind::kNoSpace);
  EXPECT_THAT(text, HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace storage_test
