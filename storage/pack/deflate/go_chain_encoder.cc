#include "storage/pack/deflate/go_chain_encoder.h"

#include <algorithm>

#include "storage/pack/deflate/match_length.h"

namespace storage {
namespace {

constexpr std::size_t kWindow = 32768, kChainMin = 4;
constexpr std::size_t kFarMin = 5, kFarDistance = 4096;  // four bytes from afar are no gain
constexpr unsigned kChainHashBits = 17;
constexpr std::uint32_t kChainHashFactor = 0x1e35a7bd;
// Of what one call encodes.
constexpr std::size_t kTokensPerCall = 16384;
// Positions are kept as 32 bits; the first one of a stream is none that an empty entry could mean.
constexpr std::uint64_t kFirst = 4 * kWindow;

std::size_t chain_hash(const std::uint8_t* bytes) {
  return (__builtin_bswap32(load32(bytes)) * kChainHashFactor) >> (32U - kChainHashBits);
}

}  // namespace

const GoChainEncoder::Tuning& GoChainEncoder::tuning_of(unsigned level) {
  static constexpr Tuning kTunings[] = {{0, 16, 8, 5},       {0, 32, 32, 6},     {4, 16, 16, 0},
                                        {16, 32, 32, 0},     {16, 128, 128, 0},  {32, 128, 256, 0},
                                        {128, 258, 1024, 0}, {258, 258, 4096, 0}};
  return kTunings[std::clamp(level, 2U, 9U) - 2];
}

GoChainEncoder::GoChainEncoder(unsigned level)
    : tuning_(tuning_of(level)), heads_(std::size_t{1} << kChainHashBits), links_(kWindow) {}

void GoChainEncoder::start_stream(std::uint64_t position) {
  std::fill(heads_.begin(), heads_.end(), 0U);
  position_ = base_ = position;
  pending_ = {};
  has_literal_ = false;
  stream_begin_ = position;
}

std::uint64_t GoChainEncoder::needed_from() const {
  return std::max(base_, position_ - std::min<std::uint64_t>(position_, kWindow + 1));
}

// The encoder has a buffer of two windows. When it is full and nearly all of it encoded, the first
// half is given up, and only then are more bytes put behind the second: matches can't reach quite
// as far right after that. It goes on with less in sight only at a segment's end.
bool GoChainEncoder::has_lookahead(const PlainWindow& window) {
  const std::uint64_t available = std::min(window.end(), segment_end_);
  if (position_ >= available) return false;
  std::uint64_t seen = std::min(available, base_ + 2 * kWindow);
  if (seen - position_ < kMaxMatch + kChainMin && seen < available) {
    base_ += kWindow;
    seen = std::min(available, base_ + 2 * kWindow);
  }
  lookahead_ = seen - position_;
  return lookahead_ >= kMaxMatch + kChainMin || available == segment_end_;
}

bool GoChainEncoder::encode(const PlainWindow& window, std::vector<Token>& tokens) {
  const std::size_t before = tokens.size();
  text_ = window.at(window.begin());
  text_begin_ = window.begin();
  while (tokens.size() - before < kTokensPerCall && has_lookahead(window)) step(tokens);
  if (has_literal_ && position_ == segment_end_) {
    tokens.push_back(literal_token(*at(position_ - 1)));
    has_literal_ = false;
  }
  return tokens.size() > before;
}

std::uint32_t GoChainEncoder::remember(std::uint64_t position) {
  std::uint32_t& head = heads_[chain_hash(at(position))];
  const std::uint32_t last = head;
  const auto mark = static_cast<std::uint32_t>(position - stream_begin_ + kFirst);
  links_[mark % kWindow] = last;
  head = mark;
  return last;
}

GoChainEncoder::Match GoChainEncoder::find_match(std::uint32_t candidate) const {
  const auto here = static_cast<std::uint32_t>(position_ - stream_begin_ + kFirst);
  const std::size_t limit = std::min(lookahead_, kMaxMatch);
  const std::size_t nice = std::min(limit, tuning_.nice);
  const std::size_t reach = std::min<std::uint64_t>(kWindow, position_ - base_);
  const std::uint8_t* const text = at(position_);
  Match best;
  for (unsigned tries = tuning_.tries; tries > 0; --tries) {
    const std::uint32_t distance = here - candidate;
    if (distance == 0 || distance > reach) break;
    const std::uint8_t* const other = text - distance;
    if (other[best.length] == text[best.length]) {
      const std::size_t length = match_length(other, text, limit);
      if (length > best.length && (length >= kFarMin || distance <= kFarDistance)) {
        best = {.length = length, .distance = distance};
        if (length >= nice) break;
      }
    }
    if (distance == kWindow) break;  // its link has been overwritten
    candidate = links_[candidate % kWindow];
  }
  return best;
}

void GoChainEncoder::step(std::vector<Token>& tokens) {
  std::uint32_t candidate = 0;
  if (lookahead_ >= kChainMin) candidate = remember(position_);
  const Match before = pending_;
  pending_ = {};
  const bool is_lazy = tuning_.insert == 0;
  const bool looks = is_lazy ? lookahead_ > before.length && before.length < tuning_.lazy
                             : lookahead_ >= kChainMin;
  Match found;
  if (looks) found = find_match(candidate);
  is_lazy ? step_lazily(found, before, tokens) : step_greedily(found, tokens);
}

void GoChainEncoder::step_lazily(Match found, Match before, std::vector<Token>& tokens) {
  if (before.length >= kChainMin && found.length <= before.length) {
    tokens.push_back(match_token(before.length, before.distance));
    // The first of its bytes is behind the position; both are remembered already.
    const std::uint64_t end = position_ + before.length - 1;
    const std::uint64_t seen = position_ + lookahead_;
    while (++position_ < end) {
      if (position_ + kChainMin <= seen) remember(position_);
    }
    has_literal_ = false;
    return;
  }
  if (has_literal_) tokens.push_back(literal_token(*at(position_ - 1)));
  ++position_;
  has_literal_ = true;
  pending_ = found;
}

void GoChainEncoder::step_greedily(Match found, std::vector<Token>& tokens) {
  if (found.length < kChainMin) {
    tokens.push_back(literal_token(*at(position_++)));
    return;
  }
  tokens.push_back(match_token(found.length, found.distance));
  const std::uint64_t end = position_ + found.length;
  const std::uint64_t seen = position_ + lookahead_;
  if (found.length <= tuning_.insert) {
    while (++position_ < end) {
      if (position_ + kChainMin <= seen) remember(position_);
    }
  }
  position_ = end;
}

}  // namespace storage
