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
// "zlib 6 8 1f8b08000000000000ff 4a1cb0b500280000".

// What a row says where the search found nothing; as good as no recipe.
constexpr char kNoRecipe[] = "none";

// Looks for the recipe of a blob that is kept, by trying: zlib, gzip(1), ISA-L and zstd with their
// levels; the first bytes rule out nearly all. One that is returned has been proved: tar and blob
// were made again and found identical. nullopt: made by something else, or the layer has no tar
// record. Throws kCorrupt where blob or layer are damaged. Takes the time of compressing the layer.
std::optional<std::string> find_recipe(const Store& store, const BlobRow& blob);

// Gives `sink` the blob's bytes: those of the file where it is kept, else made by the recipe.
// Verifies the digest at the end. Throws kNotFound where there is neither file nor recipe. The
// caller sees to it that the layer stays (layer_tar.h).
void write_blob(const Store& store, const BlobRow& blob,
                const std::function<void(std::string_view)>& sink);

// Whether write_blob() has to start a program for it: the file is gone and the recipe is gzip(1)'s.
bool needs_program(const BlobRow& blob);

}  // namespace storage
