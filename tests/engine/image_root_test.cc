#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "engine/image_tree.h"
#include "engine/tree_copy.h"
#include "tests/engine/engine_fixture.h"

namespace engine_test {
namespace {

using engine::Engine;

void make_whiteout(const fs::path& path) {
  base::make_dirs(path.parent_path());
  base::check(mknod(path.c_str(), S_IFCHR, makedev(0, 0)), path.string());
}

void make_opaque(const fs::path& path) {
  base::make_dirs(path);
  base::check(setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0), path.string());
}

class ImageTreeTest : public testing::Test {
 protected:
  void put(const std::string& path, std::string_view text) {
    base::make_dirs((dir_ / path).parent_path());
    base::write_file(dir_ / path, text);
  }
  std::string find(const std::string& path) {
    const engine::ImageTree tree({dir_ / "top", dir_ / "middle", dir_ / "bottom"});
    return tree.find_file(path, 1024).value_or("(none)");
  }
  TempDir dir_;
};

TEST_F(ImageTreeTest, TheTopmostLayerWins) {
  put("bottom/etc/passwd", "bottom");
  base::make_dirs(dir_ / "middle/etc");
  base::make_dirs(dir_ / "top");
  EXPECT_EQ(find("/etc/passwd"), "bottom");
  put("middle/etc/passwd", "middle");
  EXPECT_EQ(find("etc/passwd"), "middle");
  EXPECT_EQ(find("/etc/group"), "(none)");
}

TEST_F(ImageTreeTest, WhiteoutsAndOpaqueDirectoriesHide) {
  put("bottom/etc/passwd", "bottom");
  put("bottom/a/f", "bottom");
  put("bottom/o/f", "bottom");
  make_whiteout(dir_ / "middle/etc/passwd");
  make_whiteout(dir_ / "top/a");
  make_opaque(dir_ / "middle/o");
  EXPECT_EQ(find("/etc/passwd"), "(none)");
  EXPECT_EQ(find("/a/f"), "(none)");
  EXPECT_EQ(find("/o/f"), "(none)");
  put("top/o/f", "top");
  EXPECT_EQ(find("/o/f"), "top");
}

TEST_F(ImageTreeTest, LinksStayInsideTheImage) {
  put("bottom/usr/etc/passwd", "inside");
  base::make_dirs(dir_ / "top");
  fs::create_symlink("usr/etc", dir_ / "bottom/etc");
  base::make_dirs(dir_ / "middle");
  EXPECT_EQ(find("/etc/passwd"), "inside");
  fs::remove(dir_ / "bottom/etc");
  base::make_dirs(dir_ / "middle/etc");
  fs::create_symlink("/../../../../etc/hostname", dir_ / "middle/etc/passwd");
  EXPECT_EQ(find("/etc/passwd"), "(none)");  // the host's file of that name is not the image's
  fs::create_symlink("loop", dir_ / "middle/etc/loop");
  EXPECT_EQ(find("/etc/loop"), "(none)");
}

TEST_F(ImageTreeTest, OnlyRegularFilesOfAReasonableSizeAreRead) {  // CVE-2026-47262
  base::make_dirs(dir_ / "top/etc");
  base::make_dirs(dir_ / "middle");
  base::make_dirs(dir_ / "bottom");
  base::check(mkfifo((dir_ / "top/etc/passwd").c_str(), 0666), "mkfifo");
  EXPECT_EQ(find("/etc/passwd"), "(none)");
  base::check(mknod((dir_ / "top/etc/group").c_str(), S_IFCHR | 0666, makedev(1, 5)), "mknod");
  EXPECT_EQ(find("/etc/group"), "(none)");
  put("top/etc/big", std::string(2000, 'x'));
  EXPECT_THROW(find("/etc/big"), base::Error);
  EXPECT_EQ(find("/etc"), "(none)");
}

TEST(CopyTree, KeepsEverythingThatMakesARootFileSystem) {
  const TempDir dir;
  const fs::path from = dir / "from";
  const fs::path to = dir / "to";
  base::make_dirs(from / "d/e");
  base::make_dirs(to);
  base::write_file(from / "d/file", "text");
  base::check(chown((from / "d/file").c_str(), 12, 34), "chown");
  base::check(chmod((from / "d/file").c_str(), 04751), "chmod");
  base::check(setxattr((from / "d/file").c_str(), "trusted.mine", "v", 1, 0), "setxattr");
  base::check(setxattr((from / "d").c_str(), "trusted.overlay.opaque", "y", 1, 0), "setxattr");
  base::check(link((from / "d/file").c_str(), (from / "d/e/same").c_str()), "link");
  fs::create_symlink("/nowhere", from / "link");
  base::check(lchown((from / "link").c_str(), 5, 6), "lchown");
  base::check(mknod((from / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)), "mknod");
  base::check(mkfifo((from / "fifo").c_str(), 0600), "mkfifo");
  const base::UniqueFd sparse = base::open_file(from / "sparse", O_WRONLY | O_CREAT, 0644);
  base::check(ftruncate(sparse.get(), 100 << 20), "ftruncate");
  base::check(pwrite(sparse.get(), "end", 3, (100 << 20) - 3), "pwrite");
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 2}, {.tv_sec = 3, .tv_nsec = 4}};
  base::check(utimensat(AT_FDCWD, (from / "d").c_str(), times, 0), "utimensat");
  base::check(chmod(from.c_str(), 0711), "chmod");

  engine::copy_tree(base::open_file(from, O_RDONLY | O_DIRECTORY).get(),
                    base::open_file(to, O_RDONLY | O_DIRECTORY).get());

  struct stat info = {};
  struct stat other = {};
  ASSERT_EQ(stat((to / "d/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 12U);
  EXPECT_EQ(info.st_gid, 34U);
  EXPECT_EQ(info.st_mode & 07777U, 04751U);
  ASSERT_EQ(stat((to / "d/e/same").c_str(), &other), 0);
  EXPECT_EQ(info.st_ino, other.st_ino);
  char value = 0;
  EXPECT_EQ(getxattr((to / "d/file").c_str(), "trusted.mine", &value, 1), 1);
  EXPECT_EQ(getxattr((to / "d").c_str(), "trusted.overlay.opaque", &value, 1), -1);
  EXPECT_EQ(fs::read_symlink(to / "link"), "/nowhere");
  ASSERT_EQ(lstat((to / "link").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 5U);
  ASSERT_EQ(stat((to / "null").c_str(), &info), 0);
  EXPECT_EQ(info.st_rdev, makedev(1, 3));
  ASSERT_EQ(stat((to / "sparse").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 100 << 20);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
  ASSERT_EQ(stat((to / "d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 3);
  EXPECT_EQ(info.st_mtim.tv_nsec, 4);
  ASSERT_EQ(stat(to.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0711U);
}

TEST_F(EngineTest, VolumesAreFilledFromTheImageOnce) {
  add_image("localhost/data:latest",
            {{{"bin/sh", base::read_file("/bin/busybox")}, {"data/file", "image"}}},
            R"("Cmd":["sh"],"Volumes":{"/data":{}})");
  auto wanted =
      options({"sh", "-c", "IFS= read -r x </data/file; echo $x; echo changed >/data/file"});
  wanted.image = "localhost/data:latest";
  wanted.mounts = {
      {.kind = engine::MountOption::Kind::kVolume, .source = "named", .target = "/data"}};
  EXPECT_EQ(run(wanted).out, "image\n");
  EXPECT_EQ(run(wanted).out, "changed\n");
  wanted.mounts.clear();  // VOLUME of the image: an anonymous one
  wanted.auto_remove = true;
  EXPECT_EQ(run(wanted).out, "image\n");
  EXPECT_TRUE(eventually([&] { return engine().store().list_volumes().size() == 1; }));
}

TEST_F(EngineTest, AVolumePathThatLeadsOutOfTheImageCopiesNothingOfTheHost) {  // CVE-2022-23648
  const TempDir host;
  base::write_file(host / "secret", "of the host");
  add_image("localhost/evil:latest",
            {{{"bin/sh", base::read_file("/bin/busybox")},
              {"out", "->" + host.path().string()},
              {"up", "->../../../../.." + host.path().string()}}},
            R"("Cmd":["sh"])");
  for (const char* target : {"/out", "/up", "/../../../../dev/shm"}) {
    auto wanted = options({"sh", "-c", ":"});
    wanted.image = "localhost/evil:latest";
    wanted.mounts = {{.kind = engine::MountOption::Kind::kVolume,
                      .source = "vol" + std::to_string(target[1]),
                      .target = target}};
    const std::string id = engine().create(wanted, {});
    EXPECT_TRUE(fs::is_empty(engine().store().volume_dir(wanted.mounts[0].source))) << target;
  }
}

TEST_F(EngineTest, AUserAddedInTheContainerIsKnownAtItsNextStart) {
  auto wanted = options({"sh", "-c", "echo late:x:77:77::/:/bin/sh >>/etc/passwd; sleep 1000"});
  const std::string id = run_detached(wanted);
  EXPECT_TRUE(eventually([&] {
    try {
      return engine().exec(id, {.command = {"sh", "-c", "test $(id -u) = 77"}, .user = "late"}) ==
             0;
    } catch (const base::Error&) {
      return false;
    }
  }));
}

TEST_F(EngineTest, AnExportedBundleHoldsTheContainersFiles) {
  auto wanted = options({"sh", "-c", "echo mine >/added; true"});
  wanted.name = "donor";
  EXPECT_EQ(run(wanted).code, 0);
  const TempDir dir;
  engine().export_bundle("donor", dir / "bundle");
  EXPECT_EQ(base::read_file(dir / "bundle/rootfs/added"), "mine\n");
  EXPECT_TRUE(fs::exists(dir / "bundle/rootfs/bin/busybox"));
  const oci::RuntimeSpec spec =
      oci::parse_runtime_spec(base::read_file(dir / "bundle/config.json"));
  EXPECT_EQ(spec.process->args, wanted.command);
  for (const oci::Mount& mount : spec.mounts) {
    EXPECT_TRUE(mount.type != "bind" || fs::exists(mount.source)) << mount.source;
  }
  EXPECT_THROW(engine().export_bundle("donor", dir / "bundle"), base::Error);
  EXPECT_THROW(engine().export_bundle("nosuch", dir / "other"), base::Error);
}

TEST_F(EngineTest, ExplainDoesNothing) {
  auto wanted = options({"sh"});
  wanted.network = engine::NetworkMode::kBridge;
  wanted.ports = {{.host_address = {}, .host_port = 8080, .container_port = 80}};
  wanted.mounts = {
      {.kind = engine::MountOption::Kind::kVolume, .source = "named", .target = "/data"}};
  const std::string text = engine().explain(wanted);
  for (const char* part : {"layers", "writable layer", "volume named on /data", "create bridge",
                           "map 0.0.0.0:8080/tcp", "mount overlay", "seccomp"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_FALSE(engine().store().find_volume("named").has_value());
  EXPECT_TRUE(engine().store().list_networks().empty());
  wanted.image = "localhost/absent:latest";
  EXPECT_NE(engine().explain(wanted).find("would be pulled"), std::string::npos);
  expect_nothing_left();
}

}  // namespace
}  // namespace engine_test
