#include "storage/pack/deflate/header_plan.h"

#include <algorithm>

#include "storage/pack/deflate/huffman.h"

namespace storage {
namespace {

constexpr unsigned kMaxRunCodeLength = 7;

std::size_t used_symbols(std::span<const std::uint8_t> lengths, std::size_t least) {
  std::size_t count = lengths.size();
  while (count > least && lengths[count - 1] == 0) --count;
  return count;
}

void add_run(std::uint8_t length, std::size_t count, std::vector<LengthRun>& runs) {
  const auto add = [&](unsigned symbol, std::size_t extra) {
    runs.push_back(
        {.symbol = static_cast<std::uint8_t>(symbol), .extra = static_cast<std::uint8_t>(extra)});
  };
  if (length > 0) {
    add(length, 0);
    --count;
  }
  while (count >= 3) {
    const std::size_t most = length > 0 ? 6 : 138;
    const std::size_t step = std::min(count, most);
    if (length > 0) {
      add(16, step - 3);
    } else if (step > 10) {
      add(18, step - 11);
    } else {
      add(17, step - 3);
    }
    count -= step;
  }
  for (; count > 0; --count) add(length, 0);
}

}  // namespace

SymbolCounts count_symbols(std::span<const Token> tokens) {
  SymbolCounts counts;
  for (const Token token : tokens) {
    if (token.distance == 0) {
      ++counts.literals[token.length];
    } else {
      ++counts.literals[length_symbol(token.length)];
      ++counts.distances[distance_symbol(token.distance)];
    }
  }
  ++counts.literals[kEndOfBlock];
  return counts;
}

LengthPlan plan_lengths(const SymbolCounts& counts) {
  LengthPlan plan{.literal_count = 0,
                  .lengths = plan_code_lengths(counts.literals, kMaxCodeLength)};
  plan.literal_count = used_symbols(plan.lengths, kEndOfBlock + 1);
  plan.lengths.resize(plan.literal_count);
  std::vector<std::uint8_t> distances = plan_code_lengths(counts.distances, kMaxCodeLength);
  distances.resize(used_symbols(distances, 1));
  // A block without a match has a code for a distance nevertheless.
  if (distances.size() == 1) distances[0] = 1;
  plan.lengths.insert(plan.lengths.end(), distances.begin(), distances.end());
  return plan;
}

std::vector<LengthRun> plan_runs(std::span<const std::uint8_t> lengths, std::size_t literal_count,
                                 RunBorder border) {
  std::vector<LengthRun> runs;
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= lengths.size(); ++i) {
    const bool ends = i == lengths.size() || lengths[i] != lengths[begin] ||
                      (border == RunBorder::kSplit && i == literal_count);
    if (!ends) continue;
    add_run(lengths[begin], i - begin, runs);
    begin = i;
  }
  return runs;
}

std::array<std::uint8_t, kRunSymbols> plan_run_code(const std::vector<LengthRun>& runs) {
  std::array<std::uint32_t, kRunSymbols> counts = {};
  for (const LengthRun& run : runs) ++counts[run.symbol];
  const std::vector<std::uint8_t> planned = plan_code_lengths(counts, kMaxRunCodeLength);
  std::array<std::uint8_t, kRunSymbols> lengths = {};
  std::copy(planned.begin(), planned.end(), lengths.begin());
  return lengths;
}

std::size_t plan_run_code_count(const std::array<std::uint8_t, kRunSymbols>& lengths) {
  std::size_t count = kRunSymbols;
  while (count > 4 && lengths[kRunSymbolOrder[count - 1]] == 0) --count;
  return count;
}

}  // namespace storage
