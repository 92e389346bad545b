#include "storage/pack/deflate/klauspost_encoder.h"

#include <algorithm>
#include <cstdint>

#include "storage/pack/deflate/match_length.h"

namespace storage {
namespace {

constexpr unsigned kTableBits = 15;
constexpr std::uint32_t kShortFactor = 2654435761U;       // hashes four bytes
constexpr std::uint64_t kLongFactor = 58295818150454627;  // hashes seven
constexpr std::size_t kUnitMargin = 11;                   // at the unit's end no match begins
constexpr std::size_t kShortMin = 4;
constexpr std::size_t kDictionary = 16384;  // what pgzip tells a worker of the segment before
constexpr std::size_t kGoodLength = 30;     // no longer match is looked for from here on
constexpr std::size_t kSkipped = 2;         // bytes at a match's beginning that a longer may leave

std::size_t short_hash(std::uint64_t text) {
  return (static_cast<std::uint32_t>(text) * kShortFactor) >> (32U - kTableBits);
}
std::size_t long_hash(std::uint64_t text) {
  return ((text << 8U) * kLongFactor) >> (64U - kTableBits);
}

// Longer than one can be: in pieces, of which the last is not too short for one.
void put_matches(std::size_t length, std::size_t distance, std::vector<Token>& tokens) {
  while (length > 0) {
    std::size_t piece = length;
    if (piece > kMaxMatch) {
      piece = piece > kMaxMatch + kMinMatch ? kMaxMatch : kMaxMatch - kMinMatch;
    }
    tokens.push_back(match_token(piece, distance));
    length -= piece;
  }
}

}  // namespace

KlauspostEncoder::KlauspostEncoder(Segments segments)
    : segments_(segments),
      short_(std::size_t{1} << kTableBits),
      long_(std::size_t{1} << kTableBits) {}

void KlauspostEncoder::start_stream(std::uint64_t position) {
  UnitEncoder::start_stream(position);
  segment_begin_ = position;
}

void KlauspostEncoder::forget(std::uint64_t position) { floor_ = position; }

void KlauspostEncoder::start_segment(std::uint64_t end) {
  UnitEncoder::start_segment(end);
  const std::uint64_t size = position() - segment_begin_;
  segment_begin_ = position();
  if (segments_ == Segments::kContinued) return;
  // What another worker remembered of the dictionary this one does not know.
  std::fill(short_.begin(), short_.end(), Mark{0});
  std::fill(long_.begin(), long_.end(), Pair{});
  has_dictionary_ = size <= kDictionary;
  forget(has_dictionary_ ? position() : position() - kDictionary);
}

bool KlauspostEncoder::encode(const PlainWindow& window, std::vector<Token>& tokens) {
  if (!has_dictionary_) {
    look_at(window);
    std::vector<Token> ignored;
    encode_unit(position() - kDictionary, position(), ignored);
    has_dictionary_ = true;
  }
  return UnitEncoder::encode(window, tokens);
}

void KlauspostEncoder::remember_short(std::uint64_t position, std::uint64_t text) {
  short_[short_hash(text)] = position + 1;
}

void KlauspostEncoder::remember_long(std::uint64_t position, std::uint64_t text) {
  Pair& pair = long_[long_hash(text)];
  pair = {.last = position + 1, .before = pair.last};
}

bool KlauspostEncoder::is_near(Mark candidate, std::uint64_t position) const {
  return candidate > floor_ && position - (candidate - 1) < kMaxDistance;
}

bool KlauspostEncoder::is_match(Mark candidate, std::uint64_t position, std::uint32_t text) const {
  return is_near(candidate, position) && load32(at(candidate - 1)) == text;
}

// As long as one token can be.
std::size_t KlauspostEncoder::measure(std::uint64_t position, std::uint64_t other) const {
  return match_length(at(other), at(position),
                      std::min<std::size_t>(kMaxMatch, unit_end_ - position));
}

bool KlauspostEncoder::try_long(Match& match, Pair candidates) const {
  const auto text = load32(at(match.position));
  if (!is_near(candidates.last, match.position)) return false;
  const bool before_fits = is_match(candidates.before, match.position, text);
  if (!is_match(candidates.last, match.position, text)) {
    match.other = candidates.before - 1;
    return before_fits;
  }
  match.other = candidates.last - 1;
  if (!before_fits) return true;
  match.length = measure(match.position, match.other);
  const std::size_t length = measure(match.position, candidates.before - 1);
  if (length > match.length) {
    match.other = candidates.before - 1;
    match.length = length;
  }
  return true;
}

// A short hash's match gives way to a longer one that begins at the next byte looked at.
bool KlauspostEncoder::try_short(Match& match, Mark candidate, std::uint64_t next) {
  if (!is_match(candidate, match.position, load32(at(match.position)))) return false;
  match.other = candidate - 1;
  match.length = measure(match.position, match.other);
  const Pair candidates = long_[long_hash(load64(at(next)))];
  if (!is_near(candidates.last, next)) return true;
  for (const Mark mark : {candidates.last, candidates.before}) {
    if (!is_match(mark, next, load32(at(next)))) continue;
    const std::size_t length = measure(next, mark - 1);
    if (length <= match.length) continue;
    match = {.position = next, .other = mark - 1, .length = length};
    break;
  }
  return true;
}

// From match.position on. `next` is where the search would have gone on. The longer nothing is
// found, the more bytes are left out.
bool KlauspostEncoder::find(Match& match, std::uint64_t& next, std::uint64_t limit) {
  const std::uint64_t written = next;
  for (next = match.position;;) {
    match = {.position = next};
    next += 1 + ((match.position - written) >> 6U);
    if (next > limit) return false;
    const std::uint64_t text = load64(at(match.position));
    const Mark short_candidate = short_[short_hash(text)];
    const Pair long_candidates = long_[long_hash(text)];
    remember_short(match.position, text);
    remember_long(match.position, text);
    const bool found = try_long(match, long_candidates) || try_short(match, short_candidate, next);
    if (!found) continue;
    const std::uint64_t next_text = load64(at(next));
    remember_short(next, next_text);
    remember_long(next, next_text);
    return true;
  }
}

void KlauspostEncoder::extend(Match& match, std::uint64_t written, std::uint64_t limit) const {
  const auto measure_all = [&](std::uint64_t position, std::uint64_t other) {
    return match_length(at(other), at(position), unit_end_ - position);
  };
  if (match.length == 0 || match.length == kMaxMatch) {
    match.length = measure_all(match.position, match.other);
  }
  // What comes behind the match may belong to a longer one.
  const std::uint64_t end = match.position + match.length;
  if (match.length < kGoodLength && end < limit) {
    const Mark mark = long_[long_hash(load64(at(end)))].last;
    const std::uint64_t position = match.position + kSkipped;
    const std::uint64_t back = match.length - kSkipped;
    if (mark > floor_ + back) {
      const std::uint64_t other = mark - 1 - back;
      if (other < position && position - other < kMaxDistance) {
        const std::size_t length = measure_all(position, other);
        if (length > match.length) {
          match = {.position = position, .other = other, .length = length};
        }
      }
    }
  }
  while (match.other > floor_ && match.position > written &&
         *at(match.other - 1) == *at(match.position - 1)) {
    --match.other;
    --match.position;
    ++match.length;
  }
}

// Of a match's bytes most positions are remembered in one of the two tables.
void KlauspostEncoder::remember_inside(std::uint64_t begin, std::uint64_t end) {
  std::uint64_t position = begin;
  if (position >= end) return;
  const std::uint64_t text = load64(at(position));
  remember_short(position, text);
  remember_long(position, text);
  remember_long(position + 1, text >> 8U);
  remember_short(position + 2, text >> 16U);
  for (position += 4; position < end; position += 3) {
    const std::uint64_t piece = load64(at(position));
    remember_long(position, piece);
    remember_short(position + 1, piece >> 8U);
  }
}

void KlauspostEncoder::encode_unit(std::uint64_t begin, std::uint64_t end,
                                   std::vector<Token>& tokens) {
  unit_end_ = end;
  const std::uint64_t limit = end - kUnitMargin;
  std::uint64_t written = begin;
  Match match{.position = begin};
  while (match.position < limit) {
    std::uint64_t next = written;
    if (!find(match, next, limit)) break;
    extend(match, written, limit);
    put_literals(written, match.position, tokens);
    put_matches(match.length, match.position - match.other, tokens);
    written = match.position + match.length;
    const std::uint64_t position = next >= written ? next + 1 : written;
    if (position >= limit) break;
    remember_inside(position - match.length + 1, position - 1);
    const std::uint64_t text = load64(at(position - 1));
    remember_short(position - 1, text);
    remember_long(position - 1, text);
    match = {.position = position};
  }
  put_literals(written, end, tokens);
}

}  // namespace storage
