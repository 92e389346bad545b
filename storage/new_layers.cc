#include "storage/new_layers.h"

#include "storage/database.h"

namespace storage {
namespace {

// add_image() empties `boot` of all its layers, for good.
bool is_new(Database& database, const LayerKey& key) {
  Statement query = database.prepare("SELECT 1 FROM layers WHERE key=? AND boot<>''");
  return query.bind(key).step();
}

}  // namespace

bool change_new_layer(Store& store, const LayerKey& key,
                      const std::function<void(const std::filesystem::path& diff)>& change) {
  const Transaction keeps_others_out(store.database());
  if (!is_new(store.database(), key)) return false;
  change(store.layer_dir(key));
  return true;
}

bool change_new_record(
    Store& store, const LayerKey& key,
    const std::function<std::optional<std::string>(const std::string& record)>& change) {
  Transaction transaction(store.database());
  if (!is_new(store.database(), key)) return false;
  const std::optional<std::string> changed = change(store.load_layer_record(key));
  if (!changed) return false;
  store.database().prepare("UPDATE layers SET record=? WHERE key=?").bind_all(*changed, key).run();
  transaction.commit();
  return true;
}

}  // namespace storage
