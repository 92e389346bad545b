// decompress: a whole archive's compression undone: gzip, zstd, xz and bzip2, in process.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace storage {

// `head`: the first bytes of a stream, at least 8 where it has so many.
bool is_compressed(std::string_view head);

// By xz or bzip2, which archives know and layers of registries don't.
bool is_compressed_for_archives(std::string_view head);

struct DecompressLimits {
  std::uint64_t bytes = 1ULL << 40U;
  std::uint64_t ratio = 200;  // of what comes out to what went in, above 1 GiB of output
};

// `source` gives the next bytes, valid until it is called again, and an empty view at the end.
// Bytes that are not compressed pass as they are. Throws kCorrupt on damage, kInvalid beyond the
// limits, and what the two functions throw.
void decompress(const std::function<std::string_view()>& source,
                const std::function<void(std::string_view)>& sink,
                const DecompressLimits& limits = {});

}  // namespace storage
