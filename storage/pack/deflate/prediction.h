// Prediction: what a known encoder would write for the plain bytes, token by token.
#pragma once

#include <memory>
#include <optional>

#include "storage/pack/deflate/token_encoder.h"

namespace storage {

// The encoder runs over the plain bytes whatever was really written: where that differs, both meet
// again by themselves.
class Prediction {
 public:
  explicit Prediction(std::unique_ptr<TokenEncoder> encoder) : encoder_(std::move(encoder)) {}

  void start_stream(std::uint64_t position);
  void start_segment(std::uint64_t end) { encoder_->start_segment(end); }
  // Whatever was asked for of it; its plain bytes must be there. Before the next one starts.
  void finish_segment(std::uint64_t end, const PlainWindow& window);

  // The token that begins at `position`, which never goes back; of one that begins before and
  // reaches over it, the rest. nullopt: more plain bytes are needed. Only before the segment's end.
  std::optional<Token> find(std::uint64_t position, const PlainWindow& window);
  std::uint64_t needed_from() const { return encoder_->needed_from(); }

 private:
  bool advance(std::uint64_t position, const PlainWindow& window);

  std::unique_ptr<TokenEncoder> encoder_;
  std::vector<Token> tokens_;
  std::size_t index_ = 0;
  std::uint64_t begin_ = 0;  // of tokens_[index_]
};

}  // namespace storage
