#include "storage/pack/deflate/stream_walk.h"

#include <algorithm>
#include <zlib.h>

#include "base/error.h"

namespace storage {
namespace {

constexpr std::uint64_t kMaxSegment = std::uint64_t{1} << 60U;

}  // namespace

void StreamWalk::update_crc(std::uint64_t end) {
  if (end <= crc_end_) return;
  const auto* const bytes = window_.at(crc_end_);
  crc_ = static_cast<std::uint32_t>(crc32_z(crc_, bytes, end - crc_end_));
  crc_end_ = end;
}

void StreamWalk::forget_past() {
  update_crc(std::min(position_, window_.end()));
  window_.drop_before(std::min({position_, window_.end(), prediction_.needed_from()}));
}

void StreamWalk::start_member() {
  member_begin_ = crc_end_ = position_;
  crc_ = 0;
  prediction_.start_stream(position_);
}

void StreamWalk::start_segment(std::uint64_t size) {
  if (size > kMaxSegment) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is damaged");
  }
  segment_end_ = position_ + size;
  prediction_.start_segment(segment_end_);
}

void StreamWalk::finish_segment() {
  if (position_ != segment_end_ || is_ahead()) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is of another layer");
  }
  prediction_.finish_segment(segment_end_, window_);
}

std::uint32_t StreamWalk::member_crc() {
  update_crc(position_);
  return crc_;
}

}  // namespace storage
