// Layer use: which layers an image needs and which nobody needs any more.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "storage/store.h"

namespace storage {

class Database;

// Words of 64 hexadecimal digits with a space between, as images.diff_ids and images.layer_keys
// hold them.
std::vector<std::string> split_words(std::string_view text);

// The layers of all images, hidden ones included: those that they use, and those whose copies they
// use (storage/FORMAT.md, "The key of a layer"), which the next image with that layer starts from.
std::set<LayerKey> layers_in_use(Database& database);

// The right to remove layers: nullopt while somebody holds them (Store::hold_layers()).
std::optional<base::UniqueFd> try_own_layers(const fs::path& root);

// Within a transaction: deletes the image's rows. The layers that no other image has are returned;
// their rows go too if `own` says that the caller may remove layers, else they are marked for the
// next thorough sweep.
enum class OwnLayers { kNo, kYes };
std::vector<LayerKey> forget_image(Database& database, std::string_view id, OwnLayers own);

// Within a transaction: the image was used until now. Rows of containers say who uses an image;
// this remembers it when they go, so a start pays nothing for it.
void touch_image(Database& database, std::string_view id);

// Deletes a layer's row and what is remembered of its blobs; their files go to the trash.
void forget_layer(Database& database, const LayerKey& key);

// Moves those directories into the trash that have no row. The rows must have gone durably before
// (Database::sync()): a loss of power must not bring back a row without its directory.
int trash_layers(Store& store, const std::vector<LayerKey>& keys);

}  // namespace storage
