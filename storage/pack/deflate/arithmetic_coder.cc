#include "storage/pack/deflate/arithmetic_coder.h"

#include <algorithm>

#include "base/error.h"

namespace storage {
namespace {

constexpr unsigned kRate = 5;  // a chance moves by a 32nd of its distance
constexpr std::size_t kBytesBehindEnd = 8;

}  // namespace

ArithmeticCoder::ArithmeticCoder(std::string_view bytes) : is_reading_(true), in_(bytes) {
  for (int i = 0; i < 4; ++i) code_ = code_ << 8U | next_byte();
}

// finish() writes no more bytes than decide; a few zeros follow them. Many more are asked for only
// where the record is not what was written.
std::uint8_t ArithmeticCoder::next_byte() {
  if (at_ >= in_.size() + kBytesBehindEnd) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record ends early");
  }
  const std::size_t at = at_++;
  return at < in_.size() ? static_cast<std::uint8_t>(in_[at]) : std::uint8_t{0};
}

void ArithmeticCoder::settle() {
  while (((low_ ^ high_) >> 24U) == 0) {
    if (is_reading_) {
      code_ = code_ << 8U | next_byte();
    } else {
      out_ += static_cast<char>(high_ >> 24U);
    }
    low_ <<= 8U;
    high_ = high_ << 8U | 0xFFU;
  }
}

bool ArithmeticCoder::bit(Chance& chance, bool value) {
  const std::uint64_t range = high_ - low_;
  const auto middle = low_ + static_cast<std::uint32_t>(range * chance.value >> 16U);
  const bool is_set = is_reading_ ? code_ <= middle : value;
  // Never 0 nor 65536: both values stay possible.
  if (is_set) {
    high_ = middle;
    chance.value = static_cast<std::uint16_t>(chance.value + ((65535U - chance.value) >> kRate));
  } else {
    low_ = middle + 1;
    chance.value = static_cast<std::uint16_t>(chance.value - (chance.value >> kRate));
  }
  settle();
  return is_set;
}

std::uint64_t ArithmeticCoder::plain_bits(std::uint64_t value, unsigned count) {
  std::uint64_t result = 0;
  for (unsigned i = count; i-- > 0;) {
    Chance even;
    result = result << 1U | (bit(even, ((value >> i) & 1U) != 0) ? 1U : 0U);
  }
  return result;
}

void ArithmeticCoder::finish() {
  // Any number of the interval will do; this one is above its lower end whatever follows.
  for (int shift = 24; shift >= 0; shift -= 8) out_ += static_cast<char>(high_ >> shift);
}

std::uint64_t NumberModel::code(ArithmeticCoder& coder, std::uint64_t value) {
  const auto width =
      std::min(width_.code(coder, static_cast<unsigned>(std::bit_width(value))), 64U);
  if (width <= 1) return width;
  unsigned left = width - 1;
  std::uint64_t result = 1;
  if (left >= kLearned) {
    left -= kLearned;
    const auto upper = static_cast<unsigned>(value >> left) & ((1U << kLearned) - 1);
    result = result << kLearned | upper_[width].code(coder, upper);
  }
  const std::uint64_t rest = coder.plain_bits(value & ((std::uint64_t{1} << left) - 1), left);
  return result << left | rest;
}

}  // namespace storage
