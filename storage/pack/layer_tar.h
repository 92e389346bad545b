// Layer tar: a layer's directory as the tar that it was unpacked from, byte for byte.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "oci/digest.h"
#include "storage/store.h"

namespace storage {

// All of these need the layer to stay: hold_layers(), or an image that nobody removes. They throw
// kNotFound where there is no such layer, kUnsupported where it has no record (an older sampan
// unpacked it; pulling the image again after `rmi` makes one), kCorrupt where record or files are
// damaged.

// Whether write_layer_tar() can be tried.
bool has_layer_tar(const Store& store, const oci::DiffId& layer);

// The tar's length, without writing it. Reads the record, not the files.
std::uint64_t layer_tar_size(const Store& store, const oci::DiffId& layer);

// Gives `sink`, which may throw, the tar's bytes in order. Verifies the DiffID at the end: what was
// given is worthless where it throws.
void write_layer_tar(const Store& store, const oci::DiffId& layer,
                     const std::function<void(std::string_view)>& sink);

// The same for a layer that is not published: `diff` is its directory, `extras` what LayerUnpacker
// put beside it.
void write_recorded_tar(const fs::path& diff, const fs::path& extras, const oci::DiffId& layer,
                        const std::function<void(std::string_view)>& sink);

}  // namespace storage
