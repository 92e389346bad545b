// Huffman codes of deflate: canonical codes from lengths, and the lengths that an encoder chooses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace storage {

constexpr unsigned kMaxCodeLength = 15;

// The codes that follow from the lengths (RFC 1951, 3.2.2), their bits reversed, as they are
// written: the first one into the lowest bit.
std::vector<std::uint16_t> plan_codes(std::span<const std::uint8_t> lengths);

// Code lengths for symbols that occur so often; 0 where they don't. No code of lengths up to
// `limit` makes the text shorter; where several are as good, it is the one that comes from taking a
// leaf only where it is rarer than the pair, and of equally frequent symbols the lower has the
// longer code, as Go's encoders do. One symbol alone, or two, have one bit each.
std::vector<std::uint8_t> plan_code_lengths(std::span<const std::uint32_t> counts, unsigned limit);

// Finds the symbol that the next bits stand for.
class HuffmanDecoder {
 public:
  // False where more codes are asked for than there can be.
  [[nodiscard]] bool assign(std::span<const std::uint8_t> lengths);
  struct Entry {
    std::uint16_t symbol = 0;
    std::uint16_t length = 0;  // 0: no code begins like this
  };
  unsigned width() const { return width_; }
  Entry find(std::uint64_t bits) const { return table_[bits & ((1U << width_) - 1)]; }

 private:
  unsigned width_ = 0;
  std::vector<Entry> table_ = std::vector<Entry>(1);
};

}  // namespace storage
