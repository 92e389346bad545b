// Rare compression: layers in archives that are compressed by xz or bzip2. No registry serves such,
// so they are inflated here, and the store knows them as plain tars.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "engine/image/archive_files.h"
#include "oci/manifest.h"
#include "storage/unpack/decompress.h"

namespace engine {

bool is_rarely_compressed(const ArchiveFile& file);

// What the file inflates to, in order. Throws as storage::decompress() does.
void for_each_inflated_block(const ArchiveFile& file, const storage::DecompressLimits& limits,
                             const std::function<void(std::string_view)>& sink);

// The plain tar of the layer, as if the archive had that. Throws kCorrupt where the file is not the
// blob that `described` says, unless that is the plain tar already.
oci::Descriptor describe_inflated(const ArchiveFile& file, const oci::DiffId& id,
                                  const oci::Descriptor& described,
                                  const storage::DecompressLimits& limits);

}  // namespace engine
