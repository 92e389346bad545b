// LayerUnpacker: one pass from compressed bytes to a verified overlay2 directory: hash, inflate,
// hash, read tar, write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "oci/digest.h"
#include "oci/manifest.h"
#include "storage/unpack/layer_record.h"
#include "storage/unpack/overlay_policy.h"

namespace storage {

struct UnpackLimits {
  std::uint64_t layer_bytes = 64ULL << 30U;  // of the inflated tar
  std::uint64_t ratio = 200;                 // inflated to compressed, above 1 GiB of output
  std::uint64_t entries = 5'000'000;
  std::uint64_t path_depth = 512;          // components; more than 512 never
  std::uint64_t header_bytes = 2U << 20U;  // of one entry: long names, PAX records, sparse maps
};

// Lives on one thread per layer; write() is called with the blob's bytes in order and may block
// while the inflating and writing threads behind it catch up. Nothing outside `staging` is touched.
// Takes about 4 MiB whatever the layer (zstd: and the stream's window).
class LayerUnpacker {
 public:
  // `staging`: an empty directory on the store's file system, owned by the caller, private to this
  // process. It becomes the layer's root. `beside`: another one, for what is needed to write the
  // identical tar again (tar_recorder.h; storage/pack/layer_tar.h reads it); it goes to
  // Store::publish_layer() together with `staging`. Empty: nothing is recorded.
  LayerUnpacker(const std::filesystem::path& staging, const oci::Descriptor& blob,
                const oci::DiffId& expected, const UnpackLimits& limits = {},
                const OverlayPolicy& policy = {}, const std::filesystem::path& beside = {});
  ~LayerUnpacker();  // without finish(): ends the threads; what is in `staging` is the caller's

  // Rethrows what failed behind it. Bytes beyond the descriptor's size are kCorrupt.
  void write(std::string_view bytes);
  // The same without a copy: put bytes into space(), which is never empty, then say how many.
  std::span<char> space();
  void produce(std::size_t size);
  struct Result {
    std::uint64_t tar_bytes = 0, disk_bytes = 0, entries = 0;
    // What depends on lower layers. Not empty: keep it beside the layer, and ask find_fix_ups()
    // wherever the layer is used.
    LayerRecord record;
  };
  // The blob is complete: verifies size and both digests (kCorrupt), finishes directory metadata.
  // Nothing is synced to disk.
  Result finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace storage
