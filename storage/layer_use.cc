#include "storage/layer_use.h"

#include <cstdio>
#include <sys/stat.h>

#include "base/files.h"
#include "base/time.h"
#include "storage/database.h"
#include "storage/locks.h"

namespace storage {
namespace {

bool has_row(Database& database, const LayerKey& key) {
  Statement query = database.prepare("SELECT 1 FROM layers WHERE key=?");
  query.bind(key);
  return query.step();
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    words.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return words;
}

std::set<LayerKey> layers_in_use(Database& database) {
  std::set<LayerKey> keys;
  Statement query = database.prepare("SELECT layer_keys,diff_ids FROM images");
  while (query.step()) {
    for (const int column : {0, 1}) {
      for (std::string& key : split_words(query.text(column))) keys.insert(std::move(key));
    }
  }
  return keys;
}

std::optional<base::UniqueFd> try_own_layers(const fs::path& root) {
  return lock_file(root / "locks" / "layers", LockKind::kExclusive, LockWait::kNo);
}

std::vector<LayerKey> forget_image(Database& database, std::string_view id, OwnLayers own) {
  std::vector<std::string> keys;
  {
    Statement query = database.prepare("SELECT layer_keys||' '||diff_ids FROM images WHERE id=?");
    query.bind(id);
    if (query.step()) keys = split_words(query.text(0));
  }
  database.prepare("DELETE FROM names WHERE image=?").bind(id).run();
  database.prepare("DELETE FROM images WHERE id=?").bind(id).run();
  database.prepare("DELETE FROM image_use WHERE image=?").bind(id).run();
  const std::set<LayerKey> still_used = layers_in_use(database);
  std::vector<LayerKey> unused;
  std::set<LayerKey> seen;
  for (const LayerKey& key : keys) {
    if (still_used.contains(key) || !seen.insert(key).second || !has_row(database, key)) continue;
    unused.push_back(key);
    if (own == OwnLayers::kYes) {
      forget_layer(database, key);
    } else {
      database.prepare("UPDATE layers SET created=0 WHERE key=?").bind(key).run();
    }
  }
  return unused;
}

void touch_image(Database& database, std::string_view id) {
  database
      .prepare(
          "INSERT INTO image_use SELECT id,?2 FROM images WHERE id=?1 ON CONFLICT(image)DO UPDATE "
          "SET used=excluded.used")
      .bind_all(id, base::now())
      .run();
}

// A file that went although the transaction is rolled back is no loss: blobs are a cache, and who
// reads one expects that its file may be missing.
void forget_layer(Database& database, const LayerKey& key) {
  const fs::path root = database.file().parent_path();
  {
    Statement query = database.prepare(
        "SELECT digest FROM blobs WHERE kept AND diff_id=(SELECT diff_id FROM layers WHERE key=?1)"
        "AND NOT EXISTS(SELECT 1 FROM layers o WHERE o.diff_id=blobs.diff_id AND o.key<>?1)");
    query.bind(key);
    while (query.step()) {
      const fs::path file = root / "blobs" / "sha256" / query.text(0);
      static_cast<void>(rename(file.c_str(), (root / "trash" / base::random_hex(8)).c_str()));
    }
  }
  database
      .prepare(
          "DELETE FROM blobs WHERE diff_id=(SELECT diff_id FROM layers WHERE key=?1)AND NOT EXISTS"
          "(SELECT 1 FROM layers o WHERE o.diff_id=blobs.diff_id AND o.key<>?1)")
      .bind(key)
      .run();
  database.prepare("DELETE FROM layers WHERE key=?").bind(key).run();
}

int trash_layers(Store& store, const std::vector<LayerKey>& keys) {
  if (keys.empty()) return 0;
  Database& database = store.database();
  // Nothing is written: the lock keeps a publisher from putting the layer back between the look at
  // the row and the rename.
  Transaction transaction(database);
  int moved = 0;
  for (const LayerKey& key : keys) {
    if (has_row(database, key)) continue;
    const fs::path folder = store.root() / "layers" / key;
    struct stat info = {};
    if (lstat(folder.c_str(), &info) != 0) continue;
    store.move_to_trash(folder);
    ++moved;
  }
  return moved;
}

}  // namespace storage
