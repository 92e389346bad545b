#include "storage/pack/deflate/block_writer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "storage/pack/deflate/block_parser.h"
#include "storage/pack/deflate/huffman.h"

namespace storage {
namespace {

struct Code {
  std::uint16_t bits = 0;
  std::uint8_t length = 0;
};

template <std::size_t size>
std::array<Code, size> code_table(std::span<const std::uint8_t> lengths) {
  std::array<Code, size> table = {};
  const std::vector<std::uint16_t> codes = plan_codes(lengths);
  for (std::size_t i = 0; i < std::min(size, lengths.size()); ++i) {
    table[i] = {.bits = codes[i], .length = lengths[i]};
  }
  return table;
}

}  // namespace

void BlockWriter::put_block(const DeflateBlock& block) {
  bits_.put(block.last ? 1 : 0, 1);
  bits_.put(static_cast<unsigned>(block.kind), 2);
  switch (block.kind) {
    case DeflateBlock::Kind::kStored:
      bits_.align(block.stored_padding);
      bits_.put(block.stored_size, 16);
      bits_.put(block.stored_size ^ 0xFFFFU, 16);
      return;
    case DeflateBlock::Kind::kFixed:
      return put_tokens(block.tokens, fixed_literal_lengths(), fixed_distance_lengths());
    case DeflateBlock::Kind::kDynamic: {
      const auto lengths = find_lengths(block.header);
      if (!lengths) {
        throw base::Error(base::ErrorKind::kCorrupt, "a blob's record has an impossible header");
      }
      put_header(block.header);
      const std::span<const std::uint8_t> all(*lengths);
      return put_tokens(block.tokens, all.first(block.header.literal_count),
                        all.subspan(block.header.literal_count));
    }
  }
}

void BlockWriter::put_header(const DynamicHeader& header) {
  bits_.put(header.literal_count - 257, 5);
  bits_.put(header.distance_count - 1, 5);
  bits_.put(header.run_code_count - 4, 4);
  for (std::size_t i = 0; i < header.run_code_count; ++i) {
    bits_.put(header.run_code_lengths[kRunSymbolOrder[i]], 3);
  }
  const auto codes = code_table<kRunSymbols>(header.run_code_lengths);
  for (const LengthRun& run : header.runs) {
    bits_.put(codes[run.symbol].bits, codes[run.symbol].length);
    bits_.put(run.extra, kRunExtraBits[run.symbol]);
  }
}

void BlockWriter::put_tokens(std::span<const Token> tokens,
                             std::span<const std::uint8_t> literal_lengths,
                             std::span<const std::uint8_t> distance_lengths) {
  const auto literals = code_table<kLiteralSymbols>(literal_lengths);
  const auto distances = code_table<kDistanceSymbols>(distance_lengths);
  const auto put = [&](const Code& code) { bits_.put(code.bits, code.length); };
  for (const Token token : tokens) {
    if (token.distance == 0) {
      put(literals[token.length]);
      continue;
    }
    const std::size_t length = length_symbol(token.length);
    const ExtraBits& length_code = kLengthCodes[length - kEndOfBlock - 1];
    put(literals[length]);
    bits_.put(static_cast<std::uint64_t>(token.length) - length_code.base, length_code.bits);
    const std::size_t distance = distance_symbol(token.distance);
    put(distances[distance]);
    bits_.put(static_cast<std::uint64_t>(token.distance) - kDistanceCodes[distance].base,
              kDistanceCodes[distance].bits);
  }
  put(literals[kEndOfBlock]);
}

}  // namespace storage
