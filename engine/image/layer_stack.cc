#include "engine/image/layer_stack.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/trace.h"
#include "storage/new_layers.h"
#include "storage/unpack/fix_up.h"
#include "storage/unpack/layer_record.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

// Topmost first, each once: a repeated layer counts where it is highest (storage/overlay.h).
std::vector<fs::path> lower_dirs(storage::Store& store,
                                 const std::vector<storage::LayerKey>& below) {
  std::vector<fs::path> dirs;
  for (auto key = below.rbegin(); key != below.rend(); ++key) {
    fs::path dir = store.layer_dir(*key);
    if (std::find(dirs.begin(), dirs.end(), dir) == dirs.end()) dirs.push_back(std::move(dir));
  }
  return dirs;
}

void publish_copy(storage::Store& store, const oci::DiffId& id, const storage::LayerKey& copy,
                  const storage::FixUps& fix_ups) {
  const fs::path staging = store.make_staging("fixup");
  const base::Cleanup discard([&] { base::remove_tree_quietly(staging); });  // gone once published
  storage::copy_with_fix_ups(store.layer_dir(id.hex()), fix_ups, staging);
  store.publish_layer(copy, id, staging, store.layer_size(id.hex()));
}

// Times of implied directories are the one thing that nearly every layer of some build tools needs
// and few others share: mostly no copy. The first stack has them in the layer's own directory.
// What it overwrites is kept first, so that a kill in between costs no more than a copy.
bool set_times_in_place(storage::Store& store, const oci::DiffId& id,
                        const storage::FixUps& fix_ups) {
  const bool noted = storage::change_new_record(
      store, id.hex(), [&](const std::string& text) -> std::optional<std::string> {
        const auto record = storage::note_own_times(store.layer_dir(id.hex()),
                                                    storage::parse_record(text), fix_ups);
        if (!record) return std::nullopt;
        return storage::render_record(*record);
      });
  return noted && storage::change_new_layer(store, id.hex(), [&](const fs::path& diff) {
           storage::set_times(diff, fix_ups);
         });
}

storage::LayerKey choose_key(storage::Store& store, const oci::DiffId& id,
                             const storage::LayerKey& copy,
                             const std::vector<storage::LayerKey>& below) {
  if (store.has_layer(copy)) return copy;
  const std::string record = store.load_layer_record(id.hex());
  if (record.empty()) return id.hex();
  const auto fix_ups = storage::find_fix_ups(
      store.layer_dir(id.hex()), storage::parse_record(record), lower_dirs(store, below));
  if (fix_ups.empty()) return id.hex();
  if (fix_ups.only_times() && set_times_in_place(store, id, fix_ups)) return id.hex();
  base::trace("storage", "layer " + id.hex().substr(0, 12) +
                             " takes attributes or files of those below: copied for this stack");
  publish_copy(store, id, copy, fix_ups);
  return copy;
}

}  // namespace

std::vector<storage::LayerKey> copy_keys(const std::vector<oci::DiffId>& layers) {
  std::vector<storage::LayerKey> keys;
  std::string chain;
  for (const oci::DiffId& id : layers) {
    chain = chain.empty() ? id.hex() : base::sha256_hex("sha256:" + chain + " " + id.str());
    keys.push_back(chain == id.hex() ? base::sha256_hex(id.str()) : chain);
  }
  return keys;
}

std::vector<storage::LayerKey> stack_layers(storage::Store& store,
                                            const std::vector<oci::DiffId>& layers) {
  const std::vector<storage::LayerKey> copies = copy_keys(layers);
  std::vector<storage::LayerKey> keys;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    base::while_doing("layer " + layers[i].hex().substr(0, 12),
                      [&] { keys.push_back(choose_key(store, layers[i], copies[i], keys)); });
  }
  return keys;
}

}  // namespace engine
