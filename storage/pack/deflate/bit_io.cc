#include "storage/pack/deflate/bit_io.h"

#include <algorithm>

#include "base/error.h"

namespace storage {

void BitReader::throw_short() {
  throw base::Error(base::ErrorKind::kCorrupt, "a deflate stream ends early");
}

bool BitReader::load() {
  if (ended_) return false;
  at_ = 0;
  end_ = source_(buffer_.data(), buffer_.size());
  ended_ = end_ == 0;
  return !ended_;
}

void BitReader::refill() {
  while (count_ <= 56) {
    if (at_ == end_ && !load()) return;
    bits_ |= static_cast<std::uint64_t>(static_cast<unsigned char>(buffer_[at_++])) << count_;
    count_ += 8;
  }
}

void BitReader::skip_bytes(std::size_t count) {
  while (count > 0 && count_ > 0) {
    drop(8);
    --count;
  }
  while (count > 0) {
    if (at_ == end_ && !load()) throw_short();
    const std::size_t step = std::min(count, end_ - at_);
    at_ += step;
    count -= step;
  }
}

void BitWriter::spill() {
  while (count_ >= 8) {
    buffer_ += static_cast<char>(bits_ & 0xFFU);
    bits_ >>= 8U;
    count_ -= 8;
  }
  if (buffer_.size() < kBufferBytes) return;
  sink_(buffer_);
  buffer_.clear();
}

void BitWriter::put_bytes(std::string_view bytes) {
  spill();
  buffer_ += bytes;
}

void BitWriter::flush() {
  spill();
  if (!buffer_.empty()) sink_(buffer_);
  buffer_.clear();
}

}  // namespace storage
