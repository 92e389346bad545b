#include <sqlite3.h>

#include <gtest/gtest.h>

#include "storage/schema.h"
#include "storage/store.h"
#include "tests/storage/store_support.h"

namespace storage_test {
namespace {

using storage::Database;
using storage::Store;

storage::BlobRow blob_row(char digit, char layer) {
  return {.digest = oci::Digest::from_hex(hex(digit)),
          .layer = oci::DiffId::from_hex(hex(layer)),
          .size = 5,
          .used = digit,
          .origin = "docker.io/library/alpine",
          .recipe = {}};
}

class StoreBlobsTest : public testing::Test {
 protected:
  void keep(const storage::BlobRow& row) {
    const fs::path folder = store_.make_staging("blob");
    base::write_file(folder / "blob", "bytes");
    store_.keep_blob(row, folder / "blob");
  }

  TempRoot root_;
  Store store_{root_.store()};
};

TEST_F(StoreBlobsTest, KeepsABlobAndKnowsItAfterItsFileWent) {
  const storage::BlobRow row = blob_row('b', '1');
  keep(row);
  EXPECT_EQ(base::read_file(store_.blob_path(row.digest)), "bytes");
  auto found = store_.find_blob(row.digest);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->kept);
  EXPECT_EQ(found->size, 5U);
  EXPECT_EQ(found->origin, row.origin);
  store_.set_blob_recipe(row.digest, "zlib 6");
  EXPECT_GT(store_.drop_blob(row.digest), 0U);
  EXPECT_FALSE(fs::exists(store_.blob_path(row.digest)));
  found = store_.find_blob(row.digest);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->kept);
  EXPECT_EQ(found->recipe, "zlib 6");
  EXPECT_EQ(store_.drop_blob(row.digest), 0U);
  // Fetched again without a word about recipe and origin: what was known stays known.
  storage::BlobRow again = row;
  again.origin.clear();
  keep(again);
  found = store_.find_blob(row.digest);
  EXPECT_TRUE(found->kept);
  EXPECT_EQ(found->recipe, "zlib 6");
  EXPECT_EQ(found->origin, row.origin);
}

TEST_F(StoreBlobsTest, ListsTheLeastRecentlyUsedFirst) {
  keep(blob_row('c', '1'));
  keep(blob_row('a', '1'));
  keep(blob_row('b', '2'));
  auto rows = store_.list_blobs();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].digest.hex(), hex('a'));
  store_.touch_blob(rows[0].digest);
  EXPECT_EQ(store_.list_blobs()[2].digest.hex(), hex('a'));
  store_.drop_blob(rows[0].digest);
  rows = store_.blobs_of_layer(oci::DiffId::from_hex(hex('1')));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].digest.hex(), hex('c'));  // the one that is kept
}

TEST_F(StoreBlobsTest, BlobsGoWithTheLayer) {
  add_image(store_, hex('e'), "alpine", {hex('1')});
  keep(blob_row('b', '1'));
  keep(blob_row('c', '2'));  // of a layer that has no row
  store_.remove_image("alpine", Store::Force::kNo);
  EXPECT_FALSE(store_.find_blob(oci::Digest::from_hex(hex('b'))));
  EXPECT_FALSE(fs::exists(store_.blob_path(oci::Digest::from_hex(hex('b')))));
  EXPECT_TRUE(fs::exists(store_.blob_path(oci::Digest::from_hex(hex('c')))));
}

TEST_F(StoreBlobsTest, ASweepRemovesFilesWithoutARow) {
  keep(blob_row('b', '1'));
  const fs::path stray = store_.blob_path(oci::Digest::from_hex(hex('d')));
  base::write_file(stray, "stray");
  EXPECT_GT(store_.sweep(Store::Sweep::kThorough), 0);
  EXPECT_FALSE(fs::exists(stray));
  EXPECT_TRUE(fs::exists(store_.blob_path(oci::Digest::from_hex(hex('b')))));
}

TEST_F(StoreBlobsTest, WhatLiesBesideALayerIsPublishedWithIt) {
  const fs::path beside = store_.make_staging("beside");
  base::write_file(beside / "tar-record", "record");
  store_.publish_layer(hex('1'), oci::DiffId::from_hex(hex('1')), stage_layer(store_, hex('1')), 1,
                       {}, beside);
  EXPECT_EQ(base::read_file(store_.layer_extras(hex('1')) / "tar-record"), "record");
  EXPECT_TRUE(fs::exists(store_.layer_dir(hex('1')) / kLayerFile));
  EXPECT_EQ(store_.sweep(Store::Sweep::kThorough), 0);
  EXPECT_TRUE(fs::exists(store_.layer_extras(hex('1')) / "tar-record"));
}

TEST_F(StoreBlobsTest, RemembersWhenAnImageWasUsed) {
  add_image(store_, hex('e'), "alpine");
  const auto image = oci::ImageId::from_hex(hex('e'));
  EXPECT_EQ(store_.image_used(image), 0);
  storage::ContainerRow row{.id = hex('9'), .name = "one", .image = image, .image_name = "alpine"};
  store_.add_container(row, std::nullopt);
  store_.remove_container(row.id);
  EXPECT_GT(store_.image_used(image), 0);
  store_.remove_image("alpine", Store::Force::kNo);
  EXPECT_EQ(store_.image_used(image), 0);
}

// The tables as version 1 made them.
constexpr char kVersion1[] = R"sql(
PRAGMA journal_mode=WAL;
CREATE TABLE meta(key PRIMARY KEY,value)WITHOUT ROWID;
CREATE TABLE images(id PRIMARY KEY,manifest_digest,size,created,pulled,hidden,diff_ids,layer_keys,
manifest,config)WITHOUT ROWID;
CREATE TABLE names(repository,tag,digest,image,PRIMARY KEY(repository,tag,digest))WITHOUT ROWID;
CREATE TABLE layers(key PRIMARY KEY,diff_id,size,created,boot,record)WITHOUT ROWID;
CREATE TABLE blobs(digest PRIMARY KEY,diff_id)WITHOUT ROWID;
CREATE TABLE containers(id PRIMARY KEY,name,image,status,created,started,finished,init_pid,
init_start,monitor_pid,monitor_start,boot,exit_code,oom_killed,auto_remove,image_name,command,error,
ports)WITHOUT ROWID;
CREATE TABLE options(id PRIMARY KEY,labels,options)WITHOUT ROWID;
CREATE UNIQUE INDEX container_names ON containers(name);
CREATE INDEX removing ON containers(id)WHERE status=4;
CREATE TABLE leases(network,address,container,PRIMARY KEY(network,address))WITHOUT ROWID;
CREATE INDEX leases_of ON leases(container);
CREATE TABLE networks(name PRIMARY KEY,driver,options,created)WITHOUT ROWID;
CREATE TABLE volumes(name PRIMARY KEY,anonymous,labels,created)WITHOUT ROWID;
CREATE TABLE events(id INTEGER PRIMARY KEY,time,type,action,actor,attributes);
PRAGMA user_version=1;
)sql";

void sqlite_execute(const fs::path& file, const char* sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);
}

// Takes a store back to what version 1 left.
void make_version_1(const fs::path& root) {
  { Store layout(root); }
  for (const char* name : {"sampan.db", "sampan.db-wal", "sampan.db-shm"}) fs::remove(root / name);
  sqlite_execute(root / "sampan.db", kVersion1);
}

TEST(StoreMigrationTest, AStoreOfVersion1IsMigratedAndWorks) {
  const TempRoot root;
  make_version_1(root.store());
  const std::string insert =
      "INSERT INTO layers VALUES('" + hex('1') + "','" + hex('1') + "',7,1,'','');" +
      "INSERT INTO blobs VALUES('" + hex('b') + "','" + hex('1') + "');" +
      "INSERT INTO images VALUES('" + hex('e') + "','" + hex('f') + "',7,1,2,0,'" + hex('1') +
      "','" + hex('1') + "','{}','{}');" +
      "INSERT INTO names VALUES('docker.io/library/alpine','latest','','" + hex('e') + "');";
  sqlite_execute(root.store() / "sampan.db", insert.c_str());
  base::make_dirs(root.store() / "layers" / hex('1') / "diff");

  Store store(root.store());
  storage::Statement version = store.database().prepare("PRAGMA user_version");
  ASSERT_TRUE(version.step());
  EXPECT_EQ(version.integer(0), storage::kSchemaVersion);
  const auto image = store.find_image("alpine");
  ASSERT_TRUE(image);
  EXPECT_EQ(image->size, 7U);
  const auto blob = store.find_blob(oci::Digest::from_hex(hex('b')));
  ASSERT_TRUE(blob);
  EXPECT_FALSE(blob->kept);
  EXPECT_EQ(blob->layer.hex(), hex('1'));
  EXPECT_TRUE(blob->recipe.empty());
  const fs::path file = store.make_staging("blob") / "blob";
  base::write_file(file, "bytes");
  store.keep_blob(blob_row('b', '1'), file);
  EXPECT_TRUE(store.find_blob(oci::Digest::from_hex(hex('b')))->kept);
  store.add_container({.id = hex('9'), .name = "one", .image = image->id, .image_name = "alpine"},
                      std::nullopt);
  store.remove_container(hex('9'));
  EXPECT_GT(store.image_used(image->id), 0);
  EXPECT_EQ(store.remove_image("alpine", Store::Force::kNo).layers.size(), 1U);
}

}  // namespace
}  // namespace storage_test
