// GoChainEncoder: the tokens of Go's compress/flate at levels 2 to 9, which follows chains of
// hashes.
#pragma once

#include "storage/pack/deflate/token_encoder.h"

namespace storage {

class GoChainEncoder : public TokenEncoder {
 public:
  explicit GoChainEncoder(unsigned level);
  void start_stream(std::uint64_t position) override;
  void start_segment(std::uint64_t end) override { segment_end_ = end; }
  bool encode(const PlainWindow& window, std::vector<Token>& tokens) override;
  std::uint64_t needed_from() const override;

 private:
  struct Match {
    std::size_t length = 3, distance = 0;  // of 3: none
  };
  struct Tuning {
    std::size_t lazy;    // from this length on no better match is looked for at the next byte
    std::size_t nice;    // from this length on no longer match is looked for
    unsigned tries;      // links of the chain
    std::size_t insert;  // not lazy: up to this length all positions are remembered; else 0
  };
  static const Tuning& tuning_of(unsigned level);

  bool has_lookahead(const PlainWindow& window);
  void step(std::vector<Token>& tokens);
  void step_lazily(Match found, Match before, std::vector<Token>& tokens);
  void step_greedily(Match found, std::vector<Token>& tokens);
  Match find_match(std::uint32_t candidate) const;
  std::uint32_t remember(std::uint64_t position);  // gives the last with the same hash
  const std::uint8_t* at(std::uint64_t position) const { return text_ + (position - text_begin_); }

  const Tuning& tuning_;
  std::vector<std::uint32_t> heads_, links_;
  std::uint64_t segment_end_ = 0;
  std::uint64_t stream_begin_ = 0, position_ = 0;
  std::uint64_t base_ = 0;     // where the encoder's buffer of two windows begins
  std::size_t lookahead_ = 0;  // bytes from the position to the end of what the encoder sees
  const std::uint8_t* text_ = nullptr;  // while encode() runs
  std::uint64_t text_begin_ = 0;
  Match pending_;             // found one byte before the position
  bool has_literal_ = false;  // the byte before the position is not written yet
};

}  // namespace storage
