#include <numeric>

#include <gtest/gtest.h>

#include "storage/pack/deflate/block_parser.h"
#include "storage/pack/deflate/header_plan.h"
#include "storage/pack/deflate/huffman.h"
#include "storage/pack/deflate/tokens.h"

namespace storage_test {
namespace {

using Lengths = std::vector<std::uint8_t>;

TEST(Huffman, CodesAreCanonical) {
  // The example of RFC 1951, 3.2.2; our codes have their first bit lowest.
  const Lengths lengths = {3, 3, 3, 3, 3, 2, 4, 4};
  const std::vector<std::uint16_t> codes = {0b010, 0b110, 0b001,  0b101,
                                            0b011, 0b00,  0b0111, 0b1111};
  EXPECT_EQ(storage::plan_codes(lengths), codes);
  storage::HuffmanDecoder decoder;
  ASSERT_TRUE(decoder.assign(lengths));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto entry = decoder.find(codes[i] | std::uint64_t{0xFFFF} << lengths[i]);
    EXPECT_EQ(entry.symbol, i);
    EXPECT_EQ(entry.length, lengths[i]);
  }
}

TEST(Huffman, TellsImpossibleCodes) {
  storage::HuffmanDecoder decoder;
  EXPECT_FALSE(decoder.assign(Lengths{1, 1, 1}));
  EXPECT_FALSE(decoder.assign(Lengths{1, 2, 2, 15}));
  ASSERT_TRUE(decoder.assign(Lengths{0, 2, 0}));  // one code alone, as some write it
  EXPECT_EQ(decoder.find(0).length, 2);
  EXPECT_EQ(decoder.find(1).length, 0);
  ASSERT_TRUE(decoder.assign(Lengths{}));
  EXPECT_EQ(decoder.find(0).length, 0);
}

TEST(Huffman, PlansLengths) {
  const auto plan = [](std::vector<std::uint32_t> counts, unsigned limit) {
    return storage::plan_code_lengths(counts, limit);
  };
  EXPECT_EQ(plan({}, 15), Lengths{});
  EXPECT_EQ(plan({0, 9, 0}, 15), (Lengths{0, 1, 0}));
  EXPECT_EQ(plan({5, 0, 1}, 15), (Lengths{1, 0, 1}));
  EXPECT_EQ(plan({1, 1, 2, 4, 8}, 15), (Lengths{4, 4, 3, 2, 1}));
  EXPECT_EQ(plan({1, 1, 2, 4, 8}, 3), (Lengths{3, 3, 3, 3, 1}));
  // Of equals the lower symbol has the longer code.
  EXPECT_EQ(plan({1, 1, 1}, 15), (Lengths{2, 2, 1}));
  std::vector<std::uint32_t> fibonacci = {1, 1};
  while (fibonacci.size() < 30) fibonacci.push_back(fibonacci.end()[-1] + fibonacci.end()[-2]);
  for (const unsigned limit : {7U, 15U}) {
    const Lengths lengths = plan(fibonacci, limit);
    std::uint64_t used = 0;
    for (const std::uint8_t length : lengths) used += std::uint64_t{1} << (limit - length);
    EXPECT_EQ(used, std::uint64_t{1} << limit);
    EXPECT_EQ(*std::max_element(lengths.begin(), lengths.end()), limit);
  }
}

TEST(HeaderPlan, RunsStandForLengths) {
  Lengths lengths(257, 0);
  lengths[65] = 3;
  std::fill(lengths.begin() + 70, lengths.begin() + 80, std::uint8_t{7});
  lengths[256] = 5;
  lengths.insert(lengths.end(), 4, 5);
  for (const auto border : {storage::RunBorder::kJoined, storage::RunBorder::kSplit}) {
    storage::DynamicHeader header{.literal_count = 257, .distance_count = 4};
    header.runs = storage::plan_runs(lengths, 257, border);
    EXPECT_EQ(header.runs.size(), border == storage::RunBorder::kJoined ? 10U : 11U);
    EXPECT_EQ(storage::find_lengths(header), lengths);
  }
}

TEST(Tokens, HaveTheSymbolsOfTheSpecification) {
  EXPECT_EQ(storage::length_symbol(3), 257U);
  EXPECT_EQ(storage::length_symbol(10), 264U);
  EXPECT_EQ(storage::length_symbol(11), 265U);
  EXPECT_EQ(storage::length_symbol(257), 284U);
  EXPECT_EQ(storage::length_symbol(258), 285U);
  for (std::size_t length = 3; length <= 257; ++length) {
    const auto& code = storage::kLengthCodes[storage::length_symbol(length) - 257];
    EXPECT_TRUE(length >= code.base && length < code.base + (1U << code.bits)) << length;
  }
  for (std::size_t distance = 1; distance <= 32768; ++distance) {
    const auto& code = storage::kDistanceCodes[storage::distance_symbol(distance)];
    ASSERT_TRUE(distance >= code.base && distance < code.base + (1U << code.bits)) << distance;
  }
  EXPECT_EQ(storage::kDistanceCodes[29].base, 24577);
}

}  // namespace
}  // namespace storage_test
