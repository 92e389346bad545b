// UnitEncoder: what the fast encoders have in common: they cut units of 65535 bytes, each at once.
#pragma once

#include <utility>

#include "storage/pack/deflate/token_encoder.h"

namespace storage {

class UnitEncoder : public TokenEncoder {
 public:
  void start_stream(std::uint64_t position) override;
  void start_segment(std::uint64_t end) override { segment_end_ = end; }
  bool encode(const PlainWindow& window, std::vector<Token>& tokens) override;
  std::uint64_t needed_from() const override {
    return position_ - std::min<std::uint64_t>(position_, kMaxDistance + 1);
  }

 protected:
  // All that was seen until now is forgotten: no match reaches back before `position`.
  virtual void forget(std::uint64_t position) = 0;
  virtual void encode_unit(std::uint64_t begin, std::uint64_t end, std::vector<Token>& tokens) = 0;
  const std::uint8_t* at(std::uint64_t position) const { return text_ + (position - text_begin_); }

  std::uint64_t position() const { return position_; }
  void put_literals(std::uint64_t begin, std::uint64_t end, std::vector<Token>& tokens) const {
    for (const std::uint8_t* byte = at(begin); begin < end; ++begin) {
      tokens.push_back(literal_token(*byte++));
    }
  }
  void look_at(const PlainWindow& window) {
    text_ = window.at(window.begin());
    text_begin_ = window.begin();
  }

 private:
  std::uint64_t segment_end_ = 0, position_ = 0;
  const std::uint8_t* text_ = nullptr;  // while encode() runs
  std::uint64_t text_begin_ = 0;
};

}  // namespace storage
