#include "storage/pack/deflate/huffman.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace storage {
namespace {

std::uint16_t reverse(unsigned code, unsigned length) {
  unsigned reversed = 0;
  for (unsigned i = 0; i < length; ++i) reversed |= ((code >> i) & 1U) << (length - 1 - i);
  return static_cast<std::uint16_t>(reversed);
}

struct Leaf {
  std::uint64_t count = 0;
  std::size_t symbol = 0;
};

// One row of the package-merge algorithm (Larmore and Hirschberg): the leaves, merged with pairs of
// the row below. What matters of each item is how many leaves there are among the first n.
struct Row {
  std::vector<std::uint64_t> weights;
  std::vector<std::uint32_t> leaves;  // among the items up to this one
};

Row merge_row(const std::vector<Leaf>& sorted, const Row& below) {
  Row row;
  std::size_t leaf = 0, pair = 0;
  while (leaf < sorted.size() || 2 * pair + 1 < below.weights.size()) {
    const bool has_pair = 2 * pair + 1 < below.weights.size();
    const std::uint64_t weight =
        has_pair ? below.weights[2 * pair] + below.weights[2 * pair + 1] : 0;
    if (leaf < sorted.size() && (!has_pair || sorted[leaf].count < weight)) {
      row.weights.push_back(sorted[leaf++].count);
    } else {
      row.weights.push_back(weight);
      ++pair;
    }
    row.leaves.push_back(static_cast<std::uint32_t>(leaf));
  }
  return row;
}

}  // namespace

std::vector<std::uint16_t> plan_codes(std::span<const std::uint8_t> lengths) {
  // First, at n + 1, how many codes have n bits; then, at n, the first code of n bits.
  std::array<unsigned, kMaxCodeLength + 2> next = {};
  for (const std::uint8_t length : lengths) {
    if (length > 0) ++next[length + 1U];
  }
  for (unsigned i = 1; i < next.size(); ++i) next[i] = (next[i - 1] + next[i]) << 1U;
  std::vector<std::uint16_t> codes(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > 0) codes[i] = reverse(next[lengths[i]]++, lengths[i]);
  }
  return codes;
}

std::vector<std::uint8_t> plan_code_lengths(std::span<const std::uint32_t> counts, unsigned limit) {
  std::vector<std::uint8_t> lengths(counts.size());
  std::vector<Leaf> sorted;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) sorted.push_back({.count = counts[i], .symbol = i});
  }
  if (sorted.size() <= 2) {
    for (const Leaf& leaf : sorted) lengths[leaf.symbol] = 1;
    return lengths;
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Leaf& a, const Leaf& b) { return a.count < b.count; });
  limit = std::min<unsigned>(limit, static_cast<unsigned>(sorted.size()) - 1);
  std::vector<Row> rows = {merge_row(sorted, {})};
  while (rows.size() < limit) rows.push_back(merge_row(sorted, rows.back()));
  // The first 2n - 2 items of the top row are taken, and with each pair the two below: a leaf's
  // length is the number of rows in which it is taken.
  std::size_t taken = 2 * sorted.size() - 2;
  for (auto row = rows.rbegin(); row != rows.rend() && taken > 0; ++row) {
    const std::uint32_t leaves = row->leaves[taken - 1];
    for (std::uint32_t i = 0; i < leaves; ++i) ++lengths[sorted[i].symbol];
    taken = 2 * (taken - leaves);
  }
  return lengths;
}

bool HuffmanDecoder::assign(std::span<const std::uint8_t> lengths) {
  const unsigned longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  std::size_t used = 0;
  for (const std::uint8_t length : lengths) {
    if (length > 0) used += std::size_t{1} << (kMaxCodeLength - length);
  }
  if (longest > kMaxCodeLength || used > std::size_t{1} << kMaxCodeLength) return false;
  width_ = longest;
  table_.assign(std::size_t{1} << width_, {});
  const std::vector<std::uint16_t> codes = plan_codes(lengths);
  for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
    const unsigned length = lengths[symbol];
    if (length == 0) continue;
    for (std::size_t at = codes[symbol]; at < table_.size(); at += std::size_t{1} << length) {
      table_[at] = {.symbol = static_cast<std::uint16_t>(symbol),
                    .length = static_cast<std::uint16_t>(length)};
    }
  }
  return true;
}

}  // namespace storage
