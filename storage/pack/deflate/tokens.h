// Tokens and blocks of a deflate stream as RFC 1951 has them, without their bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace storage {

constexpr std::size_t kMinMatch = 3, kMaxMatch = 258, kMaxDistance = 32768;
constexpr std::size_t kEndOfBlock = 256, kLiteralSymbols = 286, kDistanceSymbols = 30;
constexpr std::size_t kMaxSymbols = 288 + 32;  // what a header can describe
// More than any known program puts into one block; 4 MiB of memory.
constexpr std::size_t kMaxBlockTokens = 1U << 20U;

// A byte, or a copy of `length` bytes from `distance` before.
struct Token {
  std::uint16_t length = 0;    // of a literal: the byte
  std::uint16_t distance = 0;  // 0: a literal
  friend bool operator==(const Token&, const Token&) = default;
};

inline Token literal_token(std::uint8_t byte) { return {.length = byte, .distance = 0}; }
inline Token match_token(std::size_t length, std::size_t distance) {
  return {.length = static_cast<std::uint16_t>(length),
          .distance = static_cast<std::uint16_t>(distance)};
}
inline std::size_t size_of(Token token) { return token.distance == 0 ? 1 : token.length; }

// How the code lengths of a dynamic block are written (RFC 1951, 3.2.7).
struct LengthRun {
  std::uint8_t symbol = 0;  // 0 to 15: that length; 16 to 18: repeated
  std::uint8_t extra = 0;   // of 16 to 18
  friend bool operator==(const LengthRun&, const LengthRun&) = default;
};
constexpr std::size_t kRunSymbols = 19;
// In this order the lengths of the run symbols' own code are written.
constexpr std::array<std::uint8_t, kRunSymbols> kRunSymbolOrder = {
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
constexpr std::array<std::uint8_t, kRunSymbols> kRunExtraBits = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                                                 0, 0, 0, 0, 0, 0, 2, 3, 7};

struct DynamicHeader {
  std::size_t literal_count = 257, distance_count = 1;  // symbols that have a length written
  std::size_t run_code_count = 4;
  std::array<std::uint8_t, kRunSymbols> run_code_lengths = {};  // by symbol
  std::vector<LengthRun> runs;
};

struct DeflateBlock {
  enum class Kind : std::uint8_t { kStored, kFixed, kDynamic } kind = Kind::kStored;
  bool last = false;
  std::vector<Token> tokens;        // none in a stored block
  DynamicHeader header;             // of kDynamic
  std::size_t stored_size = 0;      // of kStored
  std::uint8_t stored_padding = 0;  // the bits up to the next byte; zeros where it was no artist
};

struct ExtraBits {
  std::uint16_t base = 0;
  std::uint8_t bits = 0;
};
extern const std::array<ExtraBits, 29> kLengthCodes;    // by symbol - 257
extern const std::array<ExtraBits, 30> kDistanceCodes;  // by symbol
std::size_t length_symbol(std::size_t length);          // 257 to 285
std::size_t distance_symbol(std::size_t distance);      // 0 to 29

}  // namespace storage
