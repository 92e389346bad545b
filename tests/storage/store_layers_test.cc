#include <sys/stat.h>
#include <thread>

#include <gtest/gtest.h>

#include "storage/new_layers.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Store;
using Lines = std::vector<std::string>;

TEST(StoreLayers, APublishedTreeIsTheLayer) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_FALSE(store.has_layer(hex('1')));
  const fs::path staged = stage_layer(store, hex('1'));
  store.publish_layer(hex('1'), oci::DiffId::from_hex(hex('2')), staged, 10,
                      std::string_view("a\0b", 3));
  EXPECT_FALSE(fs::exists(staged));
  EXPECT_TRUE(Store(root.store()).has_layer(hex('1')));
  EXPECT_EQ(store.load_layer_record(hex('1')), std::string("a\0b", 3));
  EXPECT_EQ(base::read_file(store.layer_dir(hex('1')) / kLayerFile), hex('1'));
  error_of(base::ErrorKind::kNotFound, [&] { store.load_layer_record(hex('3')); });
}

TEST(StoreLayers, TheFirstPublisherWins) {
  const TempRoot root;
  Store store(root.store());
  publish(store, hex('1'));
  const fs::path late = store.make_staging("layer");
  base::write_file(late / kLayerFile, "late");
  store.publish_layer(hex('1'), oci::DiffId::from_hex(hex('1')), late, 10);
  EXPECT_FALSE(fs::exists(late));
  EXPECT_EQ(base::read_file(store.layer_dir(hex('1')) / kLayerFile), hex('1'));
}

TEST(StoreLayers, ADirectoryWithoutARowIsReplaced) {
  const TempRoot root;
  Store store(root.store());
  base::make_dirs(store.layer_dir(hex('1')));
  base::write_file(store.layer_dir(hex('1')) / "torn", "x");
  EXPECT_FALSE(store.has_layer(hex('1')));
  publish(store, hex('1'));
  EXPECT_EQ(entries_of(store.layer_dir(hex('1'))), Lines{kLayerFile});
}

TEST(StoreLayers, BeforeItsImageALayerCountsInThisBootOnly) {
  const TempRoot root;
  Store store(root.store());
  publish(store, hex('1'));
  publish(store, hex('2'));
  add_image(store, hex('a'), "alpine", {hex('1')});
  store.database().execute("UPDATE layers SET boot='another' WHERE boot<>''");
  EXPECT_TRUE(store.has_layer(hex('1')));
  EXPECT_FALSE(store.has_layer(hex('2')));
  error_of(base::ErrorKind::kUnavailable, [&] {
    store.add_image(make_image(hex('b'), {hex('2')}), oci::Reference::parse("b"),
                    oci::Digest::from_hex(hex('b')));
  });
  // Its contents may be torn: a new publisher replaces it, a sweep removes it.
  base::write_file(store.layer_dir(hex('2')) / kLayerFile, "torn");
  publish(store, hex('2'));
  EXPECT_EQ(base::read_file(store.layer_dir(hex('2')) / kLayerFile), hex('2'));
  store.database().execute("UPDATE layers SET boot='another' WHERE boot<>''");
  store.sweep(Store::Sweep::kThorough);
  EXPECT_EQ(entries_of(root.store() / "layers"), Lines{hex('1')});
  expect_consistent(store);
  expect_swept(store);
}

TEST(StoreLayers, MayChangeUntilAnImageHasThem) {
  const TempRoot root;
  Store store(root.store());
  publish(store, hex('1'));
  int changes = 0;
  const auto change = [&](const fs::path& diff) {
    EXPECT_EQ(diff, store.layer_dir(hex('1')));
    ++changes;
  };
  EXPECT_TRUE(storage::change_new_layer(store, hex('1'), change));
  EXPECT_FALSE(storage::change_new_layer(store, hex('2'), change));
  const auto extend = [](const std::string& record) { return record + "more"; };
  EXPECT_TRUE(storage::change_new_record(store, hex('1'), extend));
  EXPECT_TRUE(storage::change_new_record(store, hex('1'), extend));
  EXPECT_FALSE(storage::change_new_record(store, hex('2'), extend));
  EXPECT_FALSE(storage::change_new_record(
      store, hex('1'), [](const std::string&) { return std::optional<std::string>(); }));
  EXPECT_EQ(store.load_layer_record(hex('1')), "moremore");
  add_image(store, hex('a'), "alpine", {hex('1')});
  EXPECT_FALSE(storage::change_new_layer(store, hex('1'), change));
  EXPECT_FALSE(storage::change_new_record(store, hex('1'), extend));
  EXPECT_EQ(changes, 1);
  publish(store, hex('3'));  // the transactions are over
}

TEST(StoreLayers, RemembersBlobsAsLongAsTheirLayer) {
  const TempRoot root;
  Store store(root.store());
  const auto blob = oci::Digest::from_hex(hex('b'));
  EXPECT_FALSE(store.find_layer_of_blob(blob));
  add_image(store, hex('a'), "alpine", {hex('1')});
  store.remember_blob(blob, oci::DiffId::from_hex(hex('1')));
  store.remember_blob(blob, oci::DiffId::from_hex(hex('1')));
  EXPECT_EQ(store.find_layer_of_blob(blob)->hex(), hex('1'));
  store.remove_image("alpine", Store::Force::kNo);
  EXPECT_FALSE(store.find_layer_of_blob(blob));
}

TEST(StoreLayers, RefusesKeysThatAreNoDigests) {
  const TempRoot root;
  Store store(root.store());
  for (const char* key : {"", "..", "../../etc", "ABC"}) {
    error_of(base::ErrorKind::kInvalid, [&] {
      store.publish_layer(key, oci::DiffId::from_hex(hex('1')), store.make_staging("x"), 1);
    });
    error_of(base::ErrorKind::kInvalid, [&] { store.lock_layer(key); });
  }
}

TEST(StoreLayers, OneAtATimeHasTheLockOfALayer) {
  const TempRoot root;
  Store store(root.store());
  auto held = store.lock_layer(hex('1'));
  EXPECT_FALSE(Store(root.store()).try_lock_layer(hex('1')));
  EXPECT_TRUE(store.try_lock_layer(hex('2')));
  bool got_it = false;
  std::thread waiter([&] {
    Store other(root.store());
    const auto lock = other.lock_layer(hex('1'));
    got_it = true;
  });
  held.reset();
  waiter.join();
  EXPECT_TRUE(got_it);
}

// A sweep may remove the file of a lock while somebody waits for it.
TEST(StoreLayers, ALockOnARemovedFileIsNoLock) {
  const TempRoot root;
  Store store(root.store());
  auto held = store.lock_layer(hex('1'));
  std::thread waiter([&] {
    Store other(root.store());
    const auto lock = other.lock_layer(hex('1'));
    EXPECT_FALSE(store.try_lock_layer(hex('1')));  // it is of the file that is there now
  });
  fs::remove(root.store() / "locks" / hex('1'));
  held.reset();
  waiter.join();
  store.sweep(Store::Sweep::kThorough);
  EXPECT_TRUE(entries_of(root.store() / "locks").empty());
}

TEST(StoreLayers, NobodyElseCanReachTheStore) {
  const TempRoot root;
  Store store(root.store());
  struct stat info = {};
  ASSERT_EQ(stat(root.store().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
}

}  // namespace
