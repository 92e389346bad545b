// Blob rebuild: a compressed blob made again, byte for byte, from the layer that it was unpacked
// to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "storage/store.h"

namespace storage {

// A recipe is text: a way of compressing ("zlib 6 8", compressor.h), then the bytes in front of
// what that gives and those behind, in hexadecimal, "-" for none:
// "zlib 6 8 1f8b08000000000000ff 4a1cb0b500280000". Or "deflate go-6": a record tells
// (blob_record.h).

// What a row says where the search found nothing. "none" alone was said by a search that did not
// know Go's encoders.
constexpr char kNoRecipe[] = "none 2";
bool has_recipe(const BlobRow& blob);  // a real one
inline bool is_searched(const BlobRow& blob) {
  return has_recipe(blob) || blob.recipe == kNoRecipe;
}

// Looks for the recipe of a blob that is kept, by trying: zlib, gzip(1), ISA-L and zstd with their
// levels, of which the first bytes rule out nearly all; then Go's and klauspost's encoders, with a
// record of what they did otherwise. One that is returned has been proved: tar and blob were made
// again and found identical. nullopt: made by something else, or the layer has no tar record.
// Throws kCorrupt where blob or layer are damaged. Takes the time of compressing the layer, twice
// for a record.
std::optional<std::string> find_recipe(const Store& store, const BlobRow& blob);

// Gives `sink` the blob's bytes: those of the file where it is kept, else made by the recipe.
// Verifies the digest at the end. Throws kNotFound where there is neither file nor recipe. The
// caller sees to it that the layer stays (layer_tar.h).
void write_blob(const Store& store, const BlobRow& blob,
                const std::function<void(std::string_view)>& sink);

// Whether write_blob() has to start a program for it: the file is gone and the recipe is gzip(1)'s.
bool needs_program(const BlobRow& blob);

}  // namespace storage
