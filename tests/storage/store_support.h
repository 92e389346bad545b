// What the tests of the store share: a root of its own, layers, images and containers made up.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"
#include "storage/store.h"

namespace storage_test {

namespace fs = std::filesystem;

class TempRoot {
 public:
  TempRoot() : path_(parent() / ("sampan-store-" + base::random_hex(8))) { base::make_dirs(path_); }
  TempRoot(const TempRoot&) = delete;
  TempRoot& operator=(const TempRoot&) = delete;
  ~TempRoot() { base::remove_tree_quietly(path_); }

  const fs::path& path() const { return path_; }
  fs::path store() const { return path_ / "store"; }

 private:
  // In memory where possible: the crash tests make some thousand stores, each with its syncs.
  static fs::path parent() {
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
  }
  fs::path path_;
};

// 64 digits made of one: hex('a').
inline std::string hex(char digit) { return std::string(64, digit); }

inline constexpr char kLayerFile[] = "name";

// A layer whose directory holds a file with its key in it.
inline fs::path stage_layer(storage::Store& store, const std::string& key) {
  const fs::path staged = store.make_staging("layer");
  base::write_file(staged / kLayerFile, key);
  return staged;
}

inline void publish(storage::Store& store, const std::string& key) {
  store.publish_layer(key, oci::DiffId::from_hex(key), stage_layer(store, key), 10);
}

inline storage::ImageRow make_image(const std::string& id, const std::vector<std::string>& keys) {
  storage::ImageRow image{.id = oci::ImageId::from_hex(id),
                          .manifest_digest = oci::Digest::from_hex(id),
                          .config = "{\"config\":1}",
                          .manifest = "{\"manifest\":1}",
                          .layers = {},
                          .layer_keys = keys,
                          .size = 10,
                          .created = 5,
                          .pulled = 6};
  for (const std::string& key : keys) image.layers.push_back(oci::DiffId::from_hex(key));
  return image;
}

// Publishes what is missing and adds the image under the name; its repository digest is its id.
inline void add_image(storage::Store& store, const std::string& id, std::string_view name,
                      const std::vector<std::string>& keys = {}) {
  for (const std::string& key : keys) {
    if (!store.has_layer(key)) publish(store, key);
  }
  store.add_image(make_image(id, keys), oci::Reference::parse(name), oci::Digest::from_hex(id));
}

inline storage::ContainerRow make_container(const std::string& id, std::string_view name,
                                            const std::string& image) {
  return {.id = id,
          .name = std::string(name),
          .image = oci::ImageId::from_hex(image),
          .image_name = "alpine",
          .command = "\"true\"",
          .status = storage::ContainerStatus::kCreated,
          .created = 1,
          .started = 0,
          .finished = 0,
          .init = {},
          .monitor = {},
          .boot_id = {},
          .exit_code = 0,
          .oom_killed = false,
          .auto_remove = false,
          .error = {},
          .options = std::string(2000, 'o'),
          .ports = "[]",
          .labels = "{}"};
}

inline storage::LeaseRequest lease_from(std::uint32_t first, std::uint32_t last) {
  return {.network = "bridge", .first = first, .last = last, .wanted = {}};
}

inline std::vector<std::string> entries_of(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The text of the base::Error that `action` throws, which must be of this kind.
inline std::string error_of(base::ErrorKind kind, const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline std::string query_text(storage::Store& store, storage::Sql sql) {
  storage::Statement query = store.database().prepare(sql);
  std::string text;
  while (query.step()) text += (text.empty() ? "" : " ") + query.text(0);
  return text;
}

// What must hold at any time, whatever was killed.
inline void expect_consistent(storage::Store& store) {
  EXPECT_EQ(query_text(store, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(query_text(store, "SELECT image FROM names WHERE image NOT IN(SELECT id FROM images)"),
            "");
  EXPECT_EQ(query_text(store,
                       "SELECT container FROM leases WHERE container NOT IN"
                       "(SELECT id FROM containers)"),
            "");
  EXPECT_EQ(query_text(store, "SELECT id FROM containers WHERE id NOT IN(SELECT id FROM options)"),
            "");
  EXPECT_EQ(query_text(store, "SELECT id FROM options WHERE id NOT IN(SELECT id FROM containers)"),
            "");
  for (const storage::ImageRow& image : store.list_images()) {
    for (const std::string& key : image.layer_keys) {
      EXPECT_TRUE(store.has_layer(key)) << key;
      EXPECT_EQ(base::find_file(store.layer_dir(key) / kLayerFile), key);
    }
  }
}

// What must hold after a thorough sweep by the only process: nothing on disk that no row names.
inline void expect_swept(storage::Store& store) {
  EXPECT_EQ(entries_of(store.root() / "staging"), std::vector<std::string>());
  EXPECT_EQ(entries_of(store.root() / "trash"), std::vector<std::string>());
  EXPECT_EQ(entries_of(store.root() / "locks"), std::vector<std::string>());
  std::string layers;
  for (const std::string& key : entries_of(store.root() / "layers")) {
    layers += (layers.empty() ? "" : " ") + key;
  }
  EXPECT_EQ(layers, query_text(store, "SELECT key FROM layers ORDER BY key"));
  for (const std::string& id : entries_of(store.root() / "containers")) {
    EXPECT_TRUE(store.find_container(id)) << id;
  }
  for (const std::string& name : entries_of(store.root() / "volumes")) {
    EXPECT_TRUE(store.find_volume(name)) << name;
  }
}

}  // namespace storage_test
