// Blob record: what is kept of a gzip blob by an encoder that is no library here, to make it again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "storage/store.h"

namespace storage {

// Makes the record (deflate/analyzer.h), proves it by making the blob again, and keeps it beside
// the layer (FORMAT.md, "The blob record"). Gives the recipe, "deflate go-6"; nullopt where nobody
// known made the blob, or part of it. Takes the time of compressing the layer twice, and 20 MiB.
std::optional<std::string> make_blob_record(const Store& store, const BlobRow& blob);

// Whether this is a recipe that make_blob_record() gave.
bool is_record_recipe(std::string_view recipe);

// Makes the blob's bytes of such a recipe. Throws kNotFound where the record is gone, kCorrupt
// where it is damaged; what was given is worthless unless the digest is right.
void write_recorded_blob(const Store& store, const BlobRow& blob,
                         const std::function<void(std::string_view)>& sink);

}  // namespace storage
