// StreamWalk: where one is in a plain stream while its deflate stream is described or made.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "storage/pack/deflate/plain_window.h"
#include "storage/pack/deflate/prediction.h"

namespace storage {

class StreamWalk {
 public:
  explicit StreamWalk(std::unique_ptr<TokenEncoder> encoder) : prediction_(std::move(encoder)) {}

  // In pieces that are not large: they stay in memory with what is looked back at.
  void append(std::string_view bytes) { window_.append(bytes); }
  void forget_past();

  void start_member();
  void start_segment(std::uint64_t size);
  void finish_segment();  // throws kCorrupt where it does not end here

  std::uint64_t position() const { return position_; }
  bool is_ahead() const { return position_ > window_.end(); }  // of what was appended
  bool has(std::size_t size) const { return position_ + size <= window_.end(); }
  bool at_end() const { return position_ == window_.end(); }
  void advance(std::size_t size) { position_ += size; }
  std::uint8_t byte() const { return *window_.at(position_); }
  std::string_view view(std::size_t size) const { return window_.view(position_, size); }
  // The token that is expected here; nullopt: not known before more is appended.
  std::optional<Token> predict() {
    if (position_ >= segment_end_) return std::nullopt;
    return prediction_.find(position_, window_);
  }

  // Of the member up to here.
  std::uint32_t member_crc();
  std::uint32_t member_size() const {
    return static_cast<std::uint32_t>(position_ - member_begin_);
  }

 private:
  void update_crc(std::uint64_t end);

  PlainWindow window_;
  Prediction prediction_;
  std::uint64_t position_ = 0, segment_end_ = 0, member_begin_ = 0;
  std::uint64_t crc_end_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace storage
