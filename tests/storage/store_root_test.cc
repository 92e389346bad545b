// File systems that are full, read-only, or an overlay made of our layers; each in a mount
// namespace of the test's own.
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <gtest/gtest.h>

#include "storage/overlay.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Store;

class StoreRoot : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "needs CAP_SYS_ADMIN";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  void TearDown() override {
    for (const fs::path& path : mounted_) umount2(path.c_str(), MNT_DETACH);
  }

  void mount_at(const char* type, const fs::path& target, const std::string& options) {
    fs::create_directories(target);
    ASSERT_EQ(mount(type, target.c_str(), type, 0, options.c_str()), 0) << strerror(errno);
    mounted_.push_back(target);
  }

  TempRoot root_;
  std::vector<fs::path> mounted_;
};

// Fills the file system to the last byte.
fs::path fill(const fs::path& folder) {
  const fs::path file = folder / "ballast";
  const base::UniqueFd fd = base::open_file(file, O_WRONLY | O_CREAT, 0600);
  const std::string block(4096, 'x');
  while (write(fd.get(), block.data(), block.size()) > 0) {
  }
  EXPECT_EQ(errno, ENOSPC);
  return file;
}

TEST_F(StoreRoot, AFullDiskIsOneLineAndThingsCanStillBeRemoved) {
  mount_at("tmpfs", root_.path(), "size=6m");
  Store store(root_.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  add_image(store, hex('b'), "debian", {hex('2')});
  store.add_container(make_container(hex('c'), "web", hex('a')), lease_from(1, 4000));
  const fs::path ballast = fill(root_.path());
  // Room is reserved for what frees room.
  store.remove_container(hex('c'));
  EXPECT_TRUE(store.remove_image("alpine", Store::Force::kNo).deleted);
  EXPECT_FALSE(store.has_layer(hex('1')));

  std::string text;
  int added = 0;
  for (; text.empty() && added < 2000; ++added) {
    std::string id = std::to_string(added);
    id.insert(0, 64 - id.size(), '0');
    try {
      store.add_container(make_container(id, "c" + id, hex('b')), lease_from(1, 4000));
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kNoSpace);
      text = error.what();
    }
  }
  EXPECT_EQ(text, (root_.store() / "sampan.db").string() + ": no space left on device");
  expect_consistent(store);
  EXPECT_EQ(store.list_containers().size(), static_cast<std::size_t>(added - 1));
  const std::string staging = error_of(base::ErrorKind::kNoSpace, [&] {
    Store other(root_.store());
    base::write_file(other.make_staging("x") / "file", std::string(1 << 20, 'x'));
  });
  EXPECT_EQ(staging.find('\n'), std::string::npos);
  fs::remove(ballast);
  Store again(root_.store());
  again.add_container(make_container(hex('d'), "web", hex('b')), lease_from(1, 4000));
  again.sweep(Store::Sweep::kThorough);
  expect_consistent(again);
  expect_swept(again);
}

TEST_F(StoreRoot, NoRoomForANewStore) {
  mount_at("tmpfs", root_.path(), "size=64k");
  fill(root_.path());
  const std::string text = error_of(base::ErrorKind::kNoSpace, [&] { Store store(root_.store()); });
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_NE(text.find("open the store: "), std::string::npos) << text;
}

TEST_F(StoreRoot, AReadOnlyStoreIsOneLine) {
  {
    Store store(root_.store());
    add_image(store, hex('a'), "alpine");
  }
  ASSERT_EQ(mount(root_.path().c_str(), root_.path().c_str(), nullptr, MS_BIND, nullptr), 0);
  mounted_.push_back(root_.path());
  ASSERT_EQ(
      mount(nullptr, root_.path().c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0);
  const std::string text = error_of(base::ErrorKind::kSystem, [&] {
    Store store(root_.store());
    store.add_event("container", "test", "x");
  });
  EXPECT_NE(text.find("sampan.db"), std::string::npos) << text;
  EXPECT_NE(text.find("read-only"), std::string::npos) << text;
}

// Mounts what plan_overlay() planned, read-only, and reads a file through it.
std::string read_through_overlay(const fs::path& target, const storage::OverlayPlan& plan,
                                 const char* file) {
  std::string lower;
  for (const fs::path& path : plan.lower) lower += (lower.empty() ? "" : ":") + path.string();
  fs::create_directories(target);
  fs::create_directories(plan.upper);
  fs::create_directories(plan.work);
  const std::string options =
      "lowerdir=" + lower + ",upperdir=" + plan.upper.string() + ",workdir=" + plan.work.string();
  base::check(mount("overlay", target.c_str(), "overlay", 0, options.c_str()), "mount overlay");
  const auto content = base::find_file(target / file);
  umount2(target.c_str(), MNT_DETACH);
  return content.value_or("none");
}

TEST_F(StoreRoot, ThePlannedOverlayIsTheImage) {
  // Not on the test's root: overlay wants a file system that takes trusted.* names.
  mount_at("tmpfs", root_.path(), "size=16m");
  Store store(root_.store());
  for (const char key : {'1', '2', '3'}) publish(store, hex(key));
  const auto read = [&](const std::vector<std::string>& keys) {
    const fs::path folder = root_.path() / ("c" + std::to_string(keys.size()));
    return read_through_overlay(folder / "merged", storage::plan_overlay(store, keys, folder),
                                kLayerFile);
  };
  EXPECT_EQ(read({}), "none");
  EXPECT_EQ(read({hex('1')}), hex('1'));
  EXPECT_EQ(read({hex('1'), hex('2')}), hex('2'));
  EXPECT_EQ(read({hex('1'), hex('2'), hex('1')}), hex('1'));  // the kernel would say ELOOP
}

}  // namespace
