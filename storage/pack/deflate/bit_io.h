// BitReader and BitWriter: bytes as deflate numbers their bits, the lowest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace storage {

class BitReader {
 public:
  // `source` fills the buffer and returns how much; 0 at the end.
  using Source = std::function<std::size_t(char* buffer, std::size_t size)>;
  explicit BitReader(Source source) : source_(std::move(source)), buffer_(kBufferBytes, '\0') {}

  // At least 48 bits from here on, zeros behind the end.
  std::uint64_t peek() {
    if (count_ < 48) refill();
    return bits_;
  }
  // Throws kCorrupt behind the end. At most 48 bits, and no more than peek() gave.
  void drop(unsigned count) {
    if (count > count_) throw_short();
    bits_ >>= count;
    count_ -= count;
  }
  unsigned take(unsigned count) {
    const auto value = static_cast<unsigned>(peek() & ((std::uint64_t{1} << count) - 1));
    drop(count);
    return value;
  }
  std::uint8_t align() { return static_cast<std::uint8_t>(take(count_ % 8)); }  // gives the bits

  // Only at a byte's border.
  bool at_end() {
    if (count_ == 0) refill();
    return count_ == 0;
  }
  void skip_bytes(std::size_t count);

 private:
  static constexpr std::size_t kBufferBytes = 64U << 10U;
  void refill();
  bool load();
  [[noreturn]] static void throw_short();

  Source source_;
  std::string buffer_;
  std::size_t at_ = 0, end_ = 0;
  std::uint64_t bits_ = 0;
  unsigned count_ = 0;
  bool ended_ = false;
};

class BitWriter {
 public:
  using Sink = std::function<void(std::string_view)>;
  explicit BitWriter(Sink sink) : sink_(std::move(sink)) {}

  void put(std::uint64_t value, unsigned count) {  // at most 48 bits
    bits_ |= value << count_;
    count_ += count;
    if (count_ >= 16) spill();
  }
  void align(std::uint8_t padding) { put(padding, (8 - count_ % 8) % 8); }
  void put_bytes(std::string_view bytes);  // only at a byte's border
  void flush();                            // whole bytes only

 private:
  static constexpr std::size_t kBufferBytes = 64U << 10U;
  void spill();

  Sink sink_;
  std::string buffer_;
  std::uint64_t bits_ = 0;
  unsigned count_ = 0;
};

}  // namespace storage
