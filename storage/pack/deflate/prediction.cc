#include "storage/pack/deflate/prediction.h"

namespace storage {

void Prediction::start_stream(std::uint64_t position) {
  tokens_.clear();
  index_ = 0;
  begin_ = position;
  encoder_->start_stream(position);
}

void Prediction::finish_segment(std::uint64_t end, const PlainWindow& window) {
  do {
    tokens_.clear();
  } while (encoder_->encode(window, tokens_));
  index_ = 0;
  begin_ = end;
}

bool Prediction::advance(std::uint64_t position, const PlainWindow& window) {
  for (;;) {
    for (; index_ < tokens_.size(); ++index_) {
      const std::uint64_t end = begin_ + size_of(tokens_[index_]);
      if (end > position) return true;
      begin_ = end;
    }
    tokens_.clear();
    index_ = 0;
    if (!encoder_->encode(window, tokens_)) return false;
  }
}

std::optional<Token> Prediction::find(std::uint64_t position, const PlainWindow& window) {
  if (!advance(position, window)) return std::nullopt;
  const Token token = tokens_[index_];
  if (begin_ == position) return token;
  const std::uint64_t left = begin_ + token.length - position;
  if (left < kMinMatch) return literal_token(*window.at(position));
  return match_token(left, token.distance);
}

}  // namespace storage
