#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/process.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::ContainerStatus;
using storage::Store;
using Lines = std::vector<std::string>;
using enum Store::Sweep;

// Runs `work` in a child that then ends without any cleaning up.
void in_dying_process(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    kill(getpid(), SIGKILL);
    _exit(1);
  }
  ASSERT_EQ(base::wait_for_child(child), 128 + SIGKILL);
}

TEST(Sweep, AnEmptyStoreHasNothingToSweep) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_EQ(store.sweep(kQuick), 0);
  EXPECT_EQ(store.sweep(kThorough), 0);
  expect_swept(store);
}

TEST(Sweep, TakesTheStagingOfTheDeadOnly) {
  const TempRoot root;
  Store store(root.store());
  const fs::path ours = store.make_staging("layer");
  base::write_file(ours / "file", "x");
  in_dying_process([&] {
    Store dying(root.store());
    base::write_file(dying.make_staging("layer") / "file", "x");
    base::write_file(dying.staging_dir() / "loose", "x");
  });
  EXPECT_EQ(entries_of(store.staging_dir()).size(), 3U);
  Store other(root.store());
  EXPECT_EQ(other.sweep(kQuick), 2);
  EXPECT_EQ(entries_of(store.staging_dir()), Lines{ours.filename()});
  EXPECT_TRUE(fs::exists(ours / "file"));
  EXPECT_EQ(other.sweep(kQuick), 2);  // still in the trash
  other.discard_trash();
  EXPECT_EQ(other.sweep(kQuick), 0);
}

TEST(Sweep, StagingLastsAsLongAsItsStore) {
  const TempRoot root;
  Store other(root.store());
  {
    Store store(root.store());
    store.make_staging("a");
    const Store moved(std::move(store));
    EXPECT_EQ(other.sweep(kQuick), 0);
  }
  EXPECT_EQ(other.sweep(kQuick), 1);
}

TEST(Sweep, StagingIsNamedAndPrivate) {
  const TempRoot root;
  Store store(root.store());
  const fs::path staging = store.make_staging("layer");
  EXPECT_EQ(staging.filename().string().rfind("layer-", 0), 0U);
  struct stat info = {};
  ASSERT_EQ(stat(staging.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
  EXPECT_NE(store.make_staging("layer"), staging);
}

TEST(Sweep, FinishesTheRemovalOfContainers) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  const auto add = [&](char id, ContainerStatus status, base::ProcessId monitor,
                       const std::string& boot) {
    storage::ContainerRow row = make_container(hex(id), std::string("c") + id, hex('a'));
    row.status = status;
    row.monitor = monitor;
    row.boot_id = boot;
    store.add_container(row, lease_from(1, 100));
    base::make_dirs(store.container_dir(row.id) / "upper");
  };
  const base::ProcessId us = base::find_process(getpid()).value();
  base::ProcessId gone = us;
  ++gone.start_time;
  add('b', ContainerStatus::kRemoving, {}, "");
  add('c', ContainerStatus::kRemoving, us, base::boot_id());
  add('d', ContainerStatus::kRemoving, gone, base::boot_id());
  add('e', ContainerStatus::kRemoving, us, "another boot");
  add('f', ContainerStatus::kExited, {}, "");
  EXPECT_EQ(store.sweep(kQuick), 3);
  EXPECT_EQ(entries_of(root.store() / "containers"), (Lines{hex('c'), hex('f')}));
  EXPECT_EQ(store.list_containers().size(), 2U);
  EXPECT_EQ(store.list_leases().size(), 2U);
  expect_consistent(store);
}

TEST(Sweep, TakesDirectoriesWithoutRows) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  store.add_container(make_container(hex('c'), "web", hex('a')), std::nullopt);
  base::make_dirs(store.container_dir(hex('c')));
  base::make_dirs(store.container_dir(hex('d')) / "upper");
  base::make_dirs(store.layer_dir(hex('2')));
  EXPECT_EQ(store.sweep(kQuick), 1);
  EXPECT_EQ(entries_of(root.store() / "containers"), Lines{hex('c')});
  EXPECT_EQ(store.sweep(kThorough), 2);
  EXPECT_EQ(entries_of(root.store() / "containers"), Lines{hex('c')});
  EXPECT_EQ(entries_of(root.store() / "layers"), Lines{hex('1')});
  expect_swept(store);
}

TEST(Sweep, FindsOneDirectoryAmongMany) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  for (int i = 100; i < 200; ++i) {
    const std::string id = std::string(61, '0') + std::to_string(i);
    store.add_container(make_container(id, id, hex('a')), std::nullopt);
    base::make_dirs(store.container_dir(id));
  }
  EXPECT_EQ(store.sweep(kQuick), 0);
  base::make_dirs(store.container_dir(hex('d')));
  EXPECT_EQ(store.sweep(kQuick), 1);
  EXPECT_EQ(entries_of(root.store() / "containers").size(), 100U);
}

TEST(Sweep, KeepsTheLayersOfAnInterruptedPullForADay) {
  const TempRoot root;
  Store store(root.store());
  publish(store, hex('1'));
  store.sweep(kThorough);
  EXPECT_TRUE(store.has_layer(hex('1')));
  store.database().execute("UPDATE layers SET created=created-86400*1000000000-1");
  {
    const base::UniqueFd held = Store(root.store()).hold_layers();
    store.sweep(kThorough);
    EXPECT_TRUE(store.has_layer(hex('1')));
  }
  store.sweep(kThorough);
  EXPECT_FALSE(store.has_layer(hex('1')));
  expect_swept(store);
}

TEST(Sweep, TakesOldPartialBlobs) {
  const TempRoot root;
  Store store(root.store());
  const fs::path fresh = store.partial_path(oci::Digest::from_hex(hex('1')));
  const fs::path old = store.partial_path(oci::Digest::from_hex(hex('2')));
  base::write_file(fresh, "x");
  base::write_file(old, "x");
  const timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, old.c_str(), times, 0), 0);
  EXPECT_EQ(store.sweep(kQuick), 0);
  EXPECT_EQ(store.sweep(kThorough), 1);
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_FALSE(fs::exists(old));
}

TEST(Sweep, NeverTakesTheContentsOfAVolume) {
  const TempRoot root;
  Store store(root.store());
  base::make_dirs(store.volume_dir("empty"));
  base::make_dirs(store.volume_dir("full"));
  base::write_file(store.volume_dir("full") / "file", "x");
  EXPECT_EQ(store.sweep(kThorough), 1);
  EXPECT_EQ(entries_of(root.store() / "volumes"), Lines{"full"});
  EXPECT_TRUE(fs::exists(store.volume_dir("full") / "file"));
}

TEST(Sweep, FollowsNoLinks) {
  const TempRoot root;
  Store store(root.store());
  const fs::path outside = root.path() / "outside";
  base::make_dirs(outside / "folder");
  for (const char* folder : {"staging", "trash", "layers", "containers"}) {
    fs::create_directory_symlink(outside, root.store() / folder / "link");
  }
  store.sweep(kThorough);
  store.discard_trash();
  EXPECT_TRUE(fs::exists(outside / "folder"));
}

TEST(Trash, TwoCanEmptyItAtOnce) {
  const TempRoot root;
  Store store(root.store());
  for (int i = 0; i < 8; ++i) {
    const fs::path tree = store.make_staging("tree");
    for (int j = 0; j < 200; ++j) {
      base::make_dirs(tree / std::to_string(j) / "a");
      base::write_file(tree / std::to_string(j) / "a" / "file", "x");
    }
    store.move_to_trash(tree);
  }
  store.move_to_trash(root.store() / "staging" / "missing");
  const pid_t child = fork();
  if (child == 0) {
    Store(root.store()).discard_trash();
    _exit(0);
  }
  store.discard_trash();
  EXPECT_EQ(base::wait_for_child(child), 0);
  EXPECT_TRUE(entries_of(root.store() / "trash").empty());
}

}  // namespace
