// ArithmeticCoder: bits at the price of how unexpected they are; writes them or reads them.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace storage {

// The chance, in 65536ths, that a bit of one kind is set; learns with each.
struct Chance {
  std::uint16_t value = 1U << 15U;
};

// Carryless: an interval of 32 bits, whose upper bytes leave once both ends agree on them. Writing
// and reading go the same way, so what describes a thing to the coder is written once: the
// functions take the value that is written, which is ignored when reading, and return the one that
// counts.
class ArithmeticCoder {
 public:
  ArithmeticCoder() = default;                       // writes
  explicit ArithmeticCoder(std::string_view bytes);  // reads; the bytes must stay
  bool is_reading() const { return is_reading_; }

  bool bit(Chance& chance, bool value);
  std::uint64_t plain_bits(std::uint64_t value, unsigned count);  // without learning

  // What has been written, complete after finish().
  const std::string& bytes() const { return out_; }
  void finish();

 private:
  std::uint8_t next_byte();
  void settle();

  bool is_reading_ = false;
  std::uint32_t low_ = 0, high_ = 0xFFFFFFFFU, code_ = 0;
  std::string out_;
  std::string_view in_;
  std::size_t at_ = 0;
};

// A value of so many bits, the highest first, each bit's chance depending on those before.
template <unsigned bits>
class SymbolModel {
 public:
  unsigned code(ArithmeticCoder& coder, unsigned value) {
    std::size_t node = 1;
    for (unsigned i = bits; i-- > 0;) {
      node = 2 * node + (coder.bit(chances_[node], ((value >> i) & 1U) != 0) ? 1U : 0U);
    }
    return static_cast<unsigned>(node - chances_.size());
  }

 private:
  std::array<Chance, std::size_t{1} << bits> chances_ = {};
};

// Any number: how many bits it has, the next two, and the rest as it is.
class NumberModel {
 public:
  std::uint64_t code(ArithmeticCoder& coder, std::uint64_t value);

 private:
  static constexpr unsigned kLearned = 2;
  SymbolModel<7> width_;
  std::array<SymbolModel<kLearned>, 65> upper_ = {};
};

}  // namespace storage
