// KlauspostEncoder: the tokens of klauspost/compress/flate at level 5, its default.
#pragma once

#include "storage/pack/deflate/unit_encoder.h"

namespace storage {

class KlauspostEncoder : public UnitEncoder {
 public:
  enum class Segments { kContinued, kIndependent };  // kIndependent: as pgzip's workers do
  explicit KlauspostEncoder(Segments segments);
  void start_stream(std::uint64_t position) override;
  void start_segment(std::uint64_t end) override;
  bool encode(const PlainWindow& window, std::vector<Token>& tokens) override;

 protected:
  void forget(std::uint64_t position) override;
  void encode_unit(std::uint64_t begin, std::uint64_t end, std::vector<Token>& tokens) override;

 private:
  using Mark = std::uint64_t;  // a position and one; 0: none
  struct Pair {
    Mark last = 0, before = 0;
  };
  struct Match {
    std::uint64_t position = 0, other = 0;
    std::size_t length = 0;  // 0: not measured yet, at least 4
  };

  bool find(Match& match, std::uint64_t& next, std::uint64_t limit);
  bool try_long(Match& match, Pair candidates) const;
  bool try_short(Match& match, Mark candidate, std::uint64_t next);
  void extend(Match& match, std::uint64_t written, std::uint64_t limit) const;
  void remember_inside(std::uint64_t begin, std::uint64_t end);
  void remember_short(std::uint64_t position, std::uint64_t text);
  void remember_long(std::uint64_t position, std::uint64_t text);
  bool is_match(Mark candidate, std::uint64_t position, std::uint32_t text) const;
  bool is_near(Mark candidate, std::uint64_t position) const;
  std::size_t measure(std::uint64_t position, std::uint64_t other) const;

  Segments segments_;
  std::vector<Mark> short_;
  std::vector<Pair> long_;
  std::uint64_t floor_ = 0;
  std::uint64_t unit_end_ = 0;
  std::uint64_t segment_begin_ = 0;
  bool has_dictionary_ = true;  // false: to be read before the segment's first unit
};

}  // namespace storage
