// Header plan: the header of a dynamic block as an encoder would make it for what it counted.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/pack/deflate/tokens.h"

namespace storage {

struct SymbolCounts {
  std::array<std::uint32_t, kLiteralSymbols> literals = {};
  std::array<std::uint32_t, kDistanceSymbols> distances = {};
};
SymbolCounts count_symbols(std::span<const Token> tokens);  // and one end of block

// Lengths of literals and distances behind one another, as many as a header would have.
struct LengthPlan {
  std::size_t literal_count = 0;
  std::vector<std::uint8_t> lengths;
};
LengthPlan plan_lengths(const SymbolCounts& counts);

// Whether a run may go on from the literals' lengths to the distances': Go's do, zlib's don't.
enum class RunBorder : std::uint8_t { kJoined, kSplit };
std::vector<LengthRun> plan_runs(std::span<const std::uint8_t> lengths, std::size_t literal_count,
                                 RunBorder border);

std::array<std::uint8_t, kRunSymbols> plan_run_code(const std::vector<LengthRun>& runs);
std::size_t plan_run_code_count(const std::array<std::uint8_t, kRunSymbols>& lengths);

}  // namespace storage
