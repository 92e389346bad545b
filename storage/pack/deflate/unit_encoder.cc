#include "storage/pack/deflate/unit_encoder.h"

#include <algorithm>

namespace storage {
namespace {

constexpr std::size_t kUnit = 65535;
constexpr std::size_t kTinyUnit = 128;  // only at a segment's end; no matches are looked for

}  // namespace

void UnitEncoder::start_stream(std::uint64_t position) {
  position_ = position;
  forget(position);
}

bool UnitEncoder::encode(const PlainWindow& window, std::vector<Token>& tokens) {
  const std::uint64_t end = std::min(position_ + kUnit, segment_end_);
  if (position_ == end || window.end() < end) return false;
  look_at(window);
  const std::size_t size = end - position_;
  const std::size_t before = tokens.size();
  const bool is_tiny = size < kTinyUnit;
  if (!is_tiny) encode_unit(position_, end, tokens);
  // Where matches save less than a 16th of the tokens, the encoder does without.
  if (is_tiny || tokens.size() - before > size - size / 16) {
    tokens.resize(before);
    put_literals(position_, end, tokens);
  }
  position_ = end;
  if (is_tiny) forget(end);
  return true;
}

}  // namespace storage
