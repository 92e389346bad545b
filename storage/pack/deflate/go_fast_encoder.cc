#include "storage/pack/deflate/go_fast_encoder.h"

#include <algorithm>

#include "storage/pack/deflate/match_length.h"

namespace storage {
namespace {

constexpr unsigned kFastHashBits = 14;
constexpr std::uint32_t kFastHashFactor = 0x1e35a7bd;
constexpr std::size_t kMargin = 15;  // at the unit's end no match begins
constexpr std::size_t kFastMin = 4;

}  // namespace

struct GoFastEncoder::Search {
  std::uint64_t position = 0, limit = 0;
  std::uint64_t candidate = 0;
};

GoFastEncoder::GoFastEncoder() : table_(std::size_t{1} << kFastHashBits) {}

void GoFastEncoder::forget(std::uint64_t position) { floor_ = position; }

// Remembers this position in the place of the last with the same hash, and tells whether a match
// may begin there.
bool GoFastEncoder::exchange(std::uint64_t position, std::uint32_t text, std::uint64_t& candidate) {
  Entry& entry = table_[(text * kFastHashFactor) >> (32U - kFastHashBits)];
  const Entry last = entry;
  entry = {.mark = position + 1, .text = text};
  if (last.mark <= floor_ || last.text != text) return false;
  candidate = last.mark - 1;
  return position - candidate <= kMaxDistance;
}

// Looks at every byte, after 32 in vain at every second, and so on.
bool GoFastEncoder::find(Search& search) {
  std::size_t skip = 32;
  for (;;) {
    const std::size_t stride = skip / 32;
    skip += stride;
    if (search.position + stride > search.limit) return false;
    if (exchange(search.position, load32(at(search.position)), search.candidate)) return true;
    search.position += stride;
  }
}

void GoFastEncoder::encode_unit(std::uint64_t begin, std::uint64_t end,
                                std::vector<Token>& tokens) {
  std::uint64_t written = begin;
  Search search{.position = begin, .limit = end - kMargin};
  while (find(search)) {
    put_literals(written, search.position, tokens);
    bool found = true;
    while (found) {
      const std::uint64_t position = search.position;
      const std::size_t limit = std::min<std::size_t>(kMaxMatch, end - position);
      const std::size_t length = kFastMin + match_length(at(search.candidate + kFastMin),
                                                         at(position + kFastMin), limit - kFastMin);
      tokens.push_back(match_token(length, position - search.candidate));
      written = search.position = position + length;
      if (written >= search.limit) break;
      std::uint64_t ignored = 0;
      exchange(written - 1, load32(at(written - 1)), ignored);
      found = exchange(written, load32(at(written)), search.candidate);
    }
    if (written >= search.limit) break;
    ++search.position;
  }
  put_literals(written, end, tokens);
}

}  // namespace storage
