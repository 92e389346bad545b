// PlainWindow: the part of a plain stream that is looked at, by position in the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace storage {

class PlainWindow {
 public:
  void append(std::string_view bytes) { bytes_ += bytes; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return begin_ + bytes_.size(); }
  // What follows is there up to end().
  const std::uint8_t* at(std::uint64_t position) const {
    return reinterpret_cast<const std::uint8_t*>(bytes_.data()) + (position - begin_);
  }
  std::string_view view(std::uint64_t position, std::size_t size) const {
    return std::string_view(bytes_).substr(position - begin_, size);
  }
  // Nobody will look at what is before; that is done rarely enough to cost nothing.
  void drop_before(std::uint64_t position) {
    if (position < begin_ + kSlack) return;
    bytes_.erase(0, position - begin_);
    begin_ = position;
  }

 private:
  static constexpr std::uint64_t kSlack = 512U << 10U;
  std::uint64_t begin_ = 0;
  std::string bytes_;
};

}  // namespace storage
