// TokenEncoder: how a known program cuts plain bytes into tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/pack/deflate/plain_window.h"
#include "storage/pack/deflate/tokens.h"

namespace storage {

// Works on a stream, which is cut into segments where the program was told to flush what it had.
class TokenEncoder {
 public:
  virtual ~TokenEncoder() = default;
  // A new stream, independent of what was before; then its segments, one behind the other.
  virtual void start_stream(std::uint64_t position) = 0;
  virtual void start_segment(std::uint64_t end) = 0;
  // Appends the next tokens. False, and none, if more plain bytes are needed: up to the segment's
  // end or 128 KiB on, there are always some.
  virtual bool encode(const PlainWindow& window, std::vector<Token>& tokens) = 0;
  // Plain bytes before are not needed any more.
  virtual std::uint64_t needed_from() const = 0;
};

struct EncoderChoice {
  enum class Kind : std::uint8_t {
    kGo,         // compress/flate of Go, which compress/gzip uses: docker, BuildKit, containerd
    kKlauspost,  // klauspost/compress/flate, one stream
    kPgzip,      // the same by klauspost/pgzip, which starts anew each MiB: podman, skopeo
  } kind = Kind::kGo;
  std::uint8_t level = 0;
  friend bool operator==(const EncoderChoice&, const EncoderChoice&) = default;
};

std::string render_encoder(EncoderChoice choice);                        // "go-6"
std::vector<EncoderChoice> known_encoders();                             // the most usual first
std::unique_ptr<TokenEncoder> make_token_encoder(EncoderChoice choice);  // null: not known

}  // namespace storage
