#include "storage/pack/deflate/tokens.h"

#include <bit>

namespace storage {
namespace {

// RFC 1951, 3.2.5: after the first eight each fourth length code has one extra bit more; the last
// one, 285, stands for 258 alone.
constexpr std::array<ExtraBits, 29> make_length_codes() {
  std::array<ExtraBits, 29> codes = {};
  std::uint16_t base = kMinMatch;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto bits = static_cast<std::uint8_t>(i < 8 ? 0 : i / 4 - 1);
    codes[i] = {.base = base, .bits = bits};
    base = static_cast<std::uint16_t>(base + (1U << bits));
  }
  codes[28] = {.base = kMaxMatch, .bits = 0};
  return codes;
}

constexpr std::array<ExtraBits, 30> make_distance_codes() {
  std::array<ExtraBits, 30> codes = {};
  std::uint16_t base = 1;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto bits = static_cast<std::uint8_t>(i < 4 ? 0 : i / 2 - 1);
    codes[i] = {.base = base, .bits = bits};
    base = static_cast<std::uint16_t>(base + (1U << bits));
  }
  return codes;
}

constexpr auto make_length_symbols() {
  std::array<std::uint16_t, kMaxMatch + 1> symbols = {};
  const auto codes = make_length_codes();
  for (std::size_t length = kMinMatch; length < kMaxMatch; ++length) {
    std::size_t code = 27;
    while (codes[code].base > length) --code;
    symbols[length] = static_cast<std::uint16_t>(257 + code);
  }
  symbols[kMaxMatch] = 285;
  return symbols;
}

constexpr auto kLengthSymbols = make_length_symbols();

}  // namespace

constexpr std::array<ExtraBits, 29> kLengthCodes = make_length_codes();
constexpr std::array<ExtraBits, 30> kDistanceCodes = make_distance_codes();

std::size_t length_symbol(std::size_t length) { return kLengthSymbols[length]; }

// Two symbols for each power of two.
std::size_t distance_symbol(std::size_t distance) {
  const std::size_t index = distance - 1;
  if (index < 4) return index;
  const auto width = static_cast<std::size_t>(std::bit_width(index));
  return 2 * (width - 1) + ((index >> (width - 2)) & 1U);
}

}  // namespace storage
