#include "storage/pack/deflate/block_parser.h"

#include <span>

#include "base/error.h"

namespace storage {
namespace {

constexpr std::size_t kMaxMemberHeader = 4096;
constexpr std::size_t kMaxRest = 4096;  // padding that a tool leaves at the end

[[noreturn]] void throw_malformed(const char* what) {
  throw base::Error(base::ErrorKind::kCorrupt, std::string("a deflate stream has ") + what);
}

}  // namespace

std::vector<std::uint8_t> fixed_literal_lengths() {
  std::vector<std::uint8_t> lengths(288, 8);
  std::fill(lengths.begin() + 144, lengths.begin() + 256, std::uint8_t{9});
  std::fill(lengths.begin() + 256, lengths.begin() + 280, std::uint8_t{7});
  return lengths;
}

std::vector<std::uint8_t> fixed_distance_lengths() { return std::vector<std::uint8_t>(32, 5); }

std::optional<std::vector<std::uint8_t>> find_lengths(const DynamicHeader& header) {
  const std::size_t wanted = header.literal_count + header.distance_count;
  std::vector<std::uint8_t> lengths;
  for (const LengthRun& run : header.runs) {
    if (run.symbol == 16 && lengths.empty()) return std::nullopt;
    const std::uint8_t value = run.symbol < 16    ? run.symbol
                               : run.symbol == 16 ? lengths.back()
                                                  : std::uint8_t{0};
    const std::size_t count = run.symbol < 16    ? 1U
                              : run.symbol == 18 ? run.extra + 11U
                                                 : run.extra + 3U;
    if (lengths.size() + count > wanted) return std::nullopt;
    lengths.insert(lengths.end(), count, value);
  }
  if (lengths.size() != wanted) return std::nullopt;
  return lengths;
}

void BlockParser::read_text(std::string& header) {
  do {
    header += static_cast<char>(reader_.take(8));
    if (header.size() > kMaxMemberHeader) throw_malformed("a long header");
  } while (header.back() != '\0');
}

std::optional<std::string> BlockParser::next_member() {
  constexpr std::uint64_t kMagic = 0x088b1f;  // and the method, deflate
  constexpr unsigned kHasChecksum = 2, kHasExtra = 4, kHasName = 8, kHasComment = 16;
  if ((reader_.peek() & 0xFFFFFFU) != kMagic) return std::nullopt;
  std::string header;
  const auto take = [&](std::size_t count) {
    for (; count > 0; --count) header += static_cast<char>(reader_.take(8));
  };
  take(10);
  const auto flags = static_cast<unsigned char>(header[3]);
  if ((flags & kHasExtra) != 0) {
    const unsigned size = reader_.take(16);
    header += static_cast<char>(size & 0xFFU);
    header += static_cast<char>(size >> 8U);
    if (size > kMaxMemberHeader) throw_malformed("a long header");
    take(size);
  }
  if ((flags & kHasName) != 0) read_text(header);
  if ((flags & kHasComment) != 0) read_text(header);
  if ((flags & kHasChecksum) != 0) take(2);
  return header;
}

BlockParser::Trailer BlockParser::trailer() {
  Trailer trailer;
  trailer.padding = reader_.align();
  trailer.crc = reader_.take(32);
  trailer.size = reader_.take(32);
  return trailer;
}

std::string BlockParser::rest() {
  std::string bytes;
  while (!reader_.at_end()) {
    bytes += static_cast<char>(reader_.take(8));
    if (bytes.size() > kMaxRest) throw_malformed("something else behind it");
  }
  return bytes;
}

void BlockParser::next_block(DeflateBlock& block) {
  block.tokens.clear();
  block.last = reader_.take(1) != 0;
  switch (reader_.take(2)) {
    case 0:
      block.kind = DeflateBlock::Kind::kStored;
      return read_stored(block);
    case 1:
      block.kind = DeflateBlock::Kind::kFixed;
      if (!literals_.assign(fixed_literal_lengths())) throw_malformed("no code");
      if (!distances_.assign(fixed_distance_lengths())) throw_malformed("no code");
      return read_tokens(block.tokens);
    case 2: {
      block.kind = DeflateBlock::Kind::kDynamic;
      read_header(block.header);
      return read_tokens(block.tokens);
    }
    default:
      throw_malformed("a block of unknown type");
  }
}

void BlockParser::read_stored(DeflateBlock& block) {
  block.stored_padding = reader_.align();
  block.stored_size = reader_.take(16);
  if ((reader_.take(16) ^ 0xFFFFU) != block.stored_size) throw_malformed("a damaged length");
  reader_.skip_bytes(block.stored_size);
}

void BlockParser::read_header(DynamicHeader& header) {
  header.literal_count = reader_.take(5) + 257U;
  header.distance_count = reader_.take(5) + 1U;
  header.run_code_count = reader_.take(4) + 4U;
  header.run_code_lengths = {};
  for (std::size_t i = 0; i < header.run_code_count; ++i) {
    header.run_code_lengths[kRunSymbolOrder[i]] = static_cast<std::uint8_t>(reader_.take(3));
  }
  if (!run_code_.assign(header.run_code_lengths)) throw_malformed("an impossible code");
  read_runs(header);
  const auto lengths = find_lengths(header);
  if (!lengths) throw_malformed("an impossible code");
  const std::span<const std::uint8_t> all(*lengths);
  if (!literals_.assign(all.first(header.literal_count)) ||
      !distances_.assign(all.subspan(header.literal_count))) {
    throw_malformed("an impossible code");
  }
}

void BlockParser::read_runs(DynamicHeader& header) {
  header.runs.clear();
  const std::size_t wanted = header.literal_count + header.distance_count;
  for (std::size_t count = 0; count < wanted;) {
    const HuffmanDecoder::Entry entry = run_code_.find(reader_.peek());
    if (entry.length == 0) throw_malformed("an unknown code");
    reader_.drop(entry.length);
    const auto symbol = static_cast<std::uint8_t>(entry.symbol);
    const auto extra = static_cast<std::uint8_t>(reader_.take(kRunExtraBits[symbol]));
    header.runs.push_back({.symbol = symbol, .extra = extra});
    count += symbol < 16 ? 1U : symbol == 18 ? extra + 11U : extra + 3U;
  }
}

void BlockParser::read_tokens(std::vector<Token>& tokens) {
  for (;;) {
    const HuffmanDecoder::Entry entry = literals_.find(reader_.peek());
    if (entry.length == 0) throw_malformed("an unknown code");
    reader_.drop(entry.length);
    if (entry.symbol == kEndOfBlock) return;
    if (tokens.size() == kMaxBlockTokens) {
      throw base::Error(base::ErrorKind::kUnsupported, "a deflate stream has a very long block");
    }
    tokens.push_back(entry.symbol < kEndOfBlock
                         ? literal_token(static_cast<std::uint8_t>(entry.symbol))
                         : read_match(entry.symbol));
  }
}

Token BlockParser::read_match(std::size_t symbol) {
  if (symbol >= kLiteralSymbols) throw_malformed("an unknown code");
  const ExtraBits& length = kLengthCodes[symbol - kEndOfBlock - 1];
  const std::size_t size = length.base + std::size_t{reader_.take(length.bits)};
  const HuffmanDecoder::Entry entry = distances_.find(reader_.peek());
  if (entry.length == 0 || entry.symbol >= kDistanceSymbols) throw_malformed("an unknown code");
  reader_.drop(entry.length);
  const ExtraBits& distance = kDistanceCodes[entry.symbol];
  // 258 has a code of its own; written as 284 with all extra bits set, it would not come back.
  if (size == kMaxMatch && symbol != length_symbol(kMaxMatch)) {
    throw base::Error(base::ErrorKind::kUnsupported, "a deflate stream has an odd length");
  }
  return match_token(size, distance.base + std::size_t{reader_.take(distance.bits)});
}

}  // namespace storage
