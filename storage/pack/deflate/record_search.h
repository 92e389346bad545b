// Record search: which known encoder made a gzip stream, and the record that makes it again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "storage/pack/deflate/bit_io.h"
#include "storage/pack/deflate/token_encoder.h"

namespace storage {

struct RecordRequest {
  std::function<BitReader::Source()> open_stream;  // from its beginning
  std::uint64_t stream_size = 0;
  // Gives all plain bytes to its argument, which may throw to have no more.
  std::function<void(const std::function<void(std::string_view)>&)> write_plain;
};

struct DeflateRecord {
  EncoderChoice encoder;
  std::string bytes;
};

// Tries the encoders on the first MiB and follows the best through the whole stream. nullopt where
// that is no gzip, or a record would be larger than a twentieth of it or 16 MiB: then nobody known
// made it. The record is still to be proved. Throws kCorrupt where plain bytes and stream differ.
std::optional<DeflateRecord> find_record(const RecordRequest& request);

}  // namespace storage
