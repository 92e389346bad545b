#include "storage/pack/deflate/record_coder.h"

#include <algorithm>

#include "base/error.h"
#include "storage/pack/deflate/block_parser.h"

namespace storage {
namespace {

constexpr std::size_t kMaxText = 16384;

enum RunsKind : std::uint8_t { kRunsJoined, kRunsSplit, kRunsOther };

[[noreturn]] void throw_damaged() {
  throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is damaged");
}

}  // namespace

void RecordCoder::text(std::string& bytes) {
  if (!coder_.bit(same_text_, bytes == last_text_)) {
    const std::uint64_t size = text_size_.code(coder_, bytes.size());
    if (size > kMaxText) throw_damaged();
    bytes.resize(size);
    for (char& byte : bytes) {
      byte = static_cast<char>(text_byte_.code(coder_, static_cast<unsigned char>(byte)));
    }
    last_text_ = bytes;
  }
  bytes = last_text_;
}

std::uint64_t RecordCoder::segment_size(std::uint64_t size) {
  if (!coder_.bit(same_size_, size == last_size_)) last_size_ = segment_.code(coder_, size);
  return last_size_;
}

void RecordCoder::block_head(DeflateBlock& block) {
  block.last = coder_.bit(last_, block.last);
  const unsigned kind = kind_.code(coder_, static_cast<unsigned>(block.kind));
  if (kind > 2) throw_damaged();
  block.kind = static_cast<DeflateBlock::Kind>(kind);
  if (block.kind != DeflateBlock::Kind::kStored) return;
  block.stored_size = stored_.code(coder_, block.stored_size);
  block.stored_padding = padding(block.stored_padding);
  if (block.stored_size > 0xFFFF) throw_damaged();
}

std::uint8_t RecordCoder::padding(std::uint8_t bits) {
  return static_cast<std::uint8_t>(padding_.code(coder_, bits & 0x7FU));
}

std::uint32_t RecordCoder::number(std::uint32_t value, std::uint32_t guess) {
  if (coder_.bit(guessed_, value == guess)) return guess;
  return static_cast<std::uint32_t>(coder_.plain_bits(value, 32));
}

Token RecordCoder::correction(Token token, Token predicted, std::uint8_t literal) {
  const std::size_t context = predicted.distance == 0 ? 0 : 1;
  if (!coder_.bit(is_match_[context], token.distance != 0)) return literal_token(literal);
  std::size_t length = predicted.length;
  const bool keeps_length =
      context == 1 && coder_.bit(same_length_[context], token.length == predicted.length);
  if (!keeps_length) {
    length = kMinMatch + length_[context].code(
                             coder_, static_cast<unsigned>((token.length - kMinMatch) & 0xFFU));
  }
  std::size_t distance = predicted.distance;
  const bool keeps_distance = context == 1 && coder_.bit(same_distance_[keeps_length ? 1 : 0],
                                                         token.distance == predicted.distance);
  if (!keeps_distance) {
    distance = 1 + distance_[context].code(coder_, std::uint64_t{token.distance} - 1);
  }
  if (distance - 1 >= kMaxDistance) throw_damaged();
  return match_token(length, distance);
}

void RecordCoder::lengths(std::vector<std::uint8_t>& lengths, std::size_t& literal_count,
                          const LengthPlan& plan) {
  const bool is_same = literal_count == plan.literal_count && lengths == plan.lengths;
  if (coder_.bit(same_lengths_, is_same)) {
    lengths = plan.lengths;
    literal_count = plan.literal_count;
    return;
  }
  const std::size_t all = lengths.size();
  literal_count =
      257 + literal_count_.code(coder_, static_cast<unsigned>(literal_count - 257) & 31U);
  const std::size_t distances =
      1 + distance_count_.code(coder_, static_cast<unsigned>(all - literal_count - 1) & 31U);
  lengths.resize(literal_count + distances);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const bool is_distance = i >= literal_count;
    const std::size_t at = is_distance ? i - literal_count + plan.literal_count : i;
    const bool is_planned = is_distance ? at < plan.lengths.size() : at < plan.literal_count;
    const std::size_t planned = is_planned ? plan.lengths[at] : 0U;
    lengths[i] = static_cast<std::uint8_t>(
        code_length_[planned + (is_distance ? 16 : 0)].code(coder_, lengths[i]));
  }
}

void RecordCoder::runs(DynamicHeader& header, const std::vector<std::uint8_t>& lengths) {
  const auto joined = plan_runs(lengths, header.literal_count, RunBorder::kJoined);
  const auto split = plan_runs(lengths, header.literal_count, RunBorder::kSplit);
  const unsigned kind = header.runs == joined  ? kRunsJoined
                        : header.runs == split ? kRunsSplit
                                               : kRunsOther;
  switch (runs_kind_.code(coder_, kind)) {
    case kRunsJoined:
      header.runs = joined;
      return;
    case kRunsSplit:
      header.runs = split;
      return;
    default:
      break;
  }
  const std::uint64_t count = run_count_.code(coder_, header.runs.size());
  if (count > kMaxSymbols) throw_damaged();
  header.runs.resize(count);
  for (LengthRun& run : header.runs) {
    run.symbol = static_cast<std::uint8_t>(run_symbol_.code(coder_, run.symbol));
    if (run.symbol >= kRunSymbols) throw_damaged();
    if (run.symbol >= 16) {
      run.extra = static_cast<std::uint8_t>(run_extra_.code(coder_, run.extra));
    } else {
      run.extra = 0;
    }
  }
}

void RecordCoder::run_code(DynamicHeader& header) {
  const auto plan = plan_run_code(header.runs);
  if (coder_.bit(same_run_code_, header.run_code_lengths == plan)) {
    header.run_code_lengths = plan;
  } else {
    for (std::uint8_t& length : header.run_code_lengths) {
      length = static_cast<std::uint8_t>(run_length_.code(coder_, length));
    }
  }
  const std::size_t count = plan_run_code_count(header.run_code_lengths);
  if (coder_.bit(same_run_count_, header.run_code_count == count)) {
    header.run_code_count = count;
  } else {
    header.run_code_count =
        4 + run_code_count_.code(coder_, static_cast<unsigned>(header.run_code_count - 4));
  }
  if (header.run_code_count > kRunSymbols) throw_damaged();
}

void RecordCoder::dynamic_header(DynamicHeader& header, const SymbolCounts& counts) {
  std::vector<std::uint8_t> all;
  if (!coder_.is_reading()) all = find_lengths(header).value();
  lengths(all, header.literal_count, plan_lengths(counts));
  header.distance_count = all.size() - header.literal_count;
  runs(header, all);
  run_code(header);
}

std::string RecordCoder::finish() {
  coder_.finish();
  return coder_.bytes();
}

}  // namespace storage
