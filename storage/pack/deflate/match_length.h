// Loads and match lengths: what all match finders do with plain bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace storage {

// Little-endian, whatever the machine is.
inline std::uint32_t load32(const std::uint8_t* bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap32(value);
  return value;
}

inline std::uint64_t load64(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
  return value;
}

// How many of the first `limit` bytes are the same.
inline std::size_t match_length(const std::uint8_t* a, const std::uint8_t* b, std::size_t limit) {
  std::size_t length = 0;
  for (; length + 8 <= limit; length += 8) {
    const std::uint64_t difference = load64(a + length) ^ load64(b + length);
    if (difference != 0) {
      return length + static_cast<std::size_t>(std::countr_zero(difference)) / 8;
    }
  }
  while (length < limit && a[length] == b[length]) ++length;
  return length;
}

}  // namespace storage
