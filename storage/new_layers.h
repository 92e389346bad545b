// New layers: those that are in the store but that no image has had yet.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "storage/store.h"

namespace storage {

// Runs `change` on the layer's directory while no image comes to have it, and what add_image()
// syncs includes the change. False: an image has it or had it, or there is no such layer.
bool change_new_layer(Store& store, const LayerKey& key,
                      const std::function<void(const std::filesystem::path& diff)>& change);

// Keeps what `change` makes of such a layer's record. False also where it makes nothing of it.
bool change_new_record(
    Store& store, const LayerKey& key,
    const std::function<std::optional<std::string>(const std::string& record)>& change);

}  // namespace storage
