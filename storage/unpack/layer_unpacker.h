// LayerUnpacker: one pass from compressed bytes to a verified overlay2 directory: hash, inflate,
// hash, read tar, write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "oci/digest.h"
#include "oci/manifest.h"

namespace storage {

struct UnpackLimits {
  std::uint64_t layer_bytes = 64ULL << 30U;  // of the inflated tar
  std::uint64_t ratio = 200;                 // inflated to compressed, above 1 GiB of output
  std::uint64_t entries = 5'000'000;
};

// Lives on one thread per layer; write() is called with the blob's bytes in order and may block
// while the inflating and writing threads behind it catch up. Nothing outside `staging` is touched.
class LayerUnpacker {
 public:
  // `staging`: an empty directory on the store's file system, owned by the caller.
  LayerUnpacker(const std::filesystem::path& staging, const oci::Descriptor& blob,
                const oci::DiffId& expected, const UnpackLimits& limits = {});
  ~LayerUnpacker();

  void write(std::string_view bytes);  // rethrows what failed behind it
  struct Result {
    std::uint64_t tar_bytes = 0, disk_bytes = 0, entries = 0;
    bool needs_lower =
        false;  // implied parents or links to lower layers: fix_up_from_lower() must run
  };
  // The blob is complete: verifies size and both digests (kCorrupt), finishes directory metadata.
  Result finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace storage
