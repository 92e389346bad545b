#include "storage/unpack/header_trail.h"

#include <limits>

namespace storage {
namespace {

constexpr std::uint64_t kHeader = 512, kTypeAt = 156, kSizeAt = 124, kSizeDigits = 12;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max() / 2;

// PAX's and Solaris' extended headers, Solaris' ACLs, GNU's long names and volume label: what
// stands before the entry that it belongs to.
bool is_extension(char type) { return std::string_view("xgXAKLV").find(type) != std::string::npos; }

}  // namespace

void HeaderTrail::leave(Keep keep) {
  if (keep == Keep::kYes) {
    kept_ += block_;
  } else {
    kept_.clear();
  }
  block_start_ += block_.size();
  block_ = {};
}

void HeaderTrail::enter(std::string_view block) { block_ = block; }

// libarchive may have looked at the next header, of which a part stood in an earlier block.
void HeaderTrail::begin(std::uint64_t position) {
  start_ = position;
  const std::uint64_t wanted = position < block_start_ ? block_start_ - position : 0;
  if (kept_.size() > wanted) kept_.erase(0, kept_.size() - wanted);
}

std::optional<char> HeaderTrail::at(std::uint64_t position) const {
  if (position >= block_start_) {
    const std::uint64_t offset = position - block_start_;
    return offset < block_.size() ? std::optional(block_[offset]) : std::nullopt;
  }
  const std::uint64_t back = block_start_ - position;
  return back <= kept_.size() ? std::optional(kept_[kept_.size() - back]) : std::nullopt;
}

// How much follows an extension, as libarchive reads it: octal, or binary behind a set bit.
std::uint64_t HeaderTrail::body_of(std::uint64_t header) const {
  std::uint64_t size = 0;
  const bool is_binary =
      (static_cast<unsigned char>(at(header + kSizeAt).value_or(0)) & 0x80U) != 0;
  for (std::uint64_t i = is_binary ? 1 : 0; i < kSizeDigits; ++i) {
    const auto digit = static_cast<unsigned char>(at(header + kSizeAt + i).value_or(0));
    if (size > kHuge / 256) return kHuge;
    if (is_binary) {
      size = size * 256 + digit;
    } else if (digit >= '0' && digit <= '7') {
      size = size * 8 + (digit - '0');
    } else if (digit != ' ' || size > 0) {
      break;
    }
  }
  return (size + kHeader - 1) / kHeader * kHeader;
}

std::optional<char> HeaderTrail::find_type(std::uint64_t end) const {
  std::uint64_t header = start_;
  while (header < end && end - header >= kHeader) {
    const std::optional<char> type = at(header + kTypeAt);
    if (!type || !is_extension(*type)) return type;
    const std::uint64_t body = body_of(header);
    if (body >= end - header) return std::nullopt;
    header += kHeader + body;
  }
  return std::nullopt;
}

}  // namespace storage
