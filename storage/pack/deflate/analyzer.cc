#include "storage/pack/deflate/analyzer.h"

#include <algorithm>

#include "base/error.h"

namespace storage {
namespace {

using Kind = DeflateBlock::Kind;

constexpr std::size_t kPieceBytes = 64U << 10U;
// A MiB each with pgzip, some KiB with eStargz: a stream with more is not made to be read.
constexpr std::size_t kMaxSegments = 1U << 20U;

// Such a block is what a flush leaves.
bool is_flush(const DeflateBlock& block) {
  return block.kind == Kind::kStored && block.stored_size == 0 && !block.last;
}

std::uint64_t plain_size(const DeflateBlock& block) {
  if (block.kind == Kind::kStored) return block.stored_size;
  std::uint64_t size = 0;
  for (const Token token : block.tokens) size += size_of(token);
  return size;
}

[[noreturn]] void throw_other() {
  throw base::Error(base::ErrorKind::kCorrupt, "a blob is not what its layer was made from");
}

}  // namespace

StreamSurvey survey_stream(BitReader::Source source) {
  BlockParser parser(std::move(source));
  StreamSurvey survey;
  DeflateBlock block;
  while (parser.next_member()) {
    std::uint64_t size = 0;
    do {
      parser.next_block(block);
      size += plain_size(block);
      if (!is_flush(block) && !block.last) continue;
      if (survey.segments.size() == kMaxSegments) {
        throw base::Error(base::ErrorKind::kUnsupported, "a gzip stream has very many parts");
      }
      survey.segments.push_back(size);
      survey.plain_size += size;
      size = 0;
    } while (!block.last);
    parser.trailer();
  }
  if (!survey.segments.empty()) parser.rest();
  return survey;
}

DeflateAnalyzer::DeflateAnalyzer(EncoderChoice choice, const StreamSurvey& survey,
                                 BitReader::Source source)
    : survey_(survey),
      magic_(kRecordMagic),
      parser_(std::move(source)),
      walk_(make_token_encoder(choice)) {
  magic_ += static_cast<char>(choice.kind);
  magic_ += static_cast<char>(choice.level);
}

void DeflateAnalyzer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kPieceBytes);
    bytes.remove_prefix(piece.size());
    walk_.append(piece);
    while (step()) {
    }
    walk_.forget_past();
  }
}

std::string DeflateAnalyzer::finish() {
  while (step()) {
  }
  if (state_ != State::kEnd || !walk_.at_end()) throw_other();
  return magic_ + coder_.finish();
}

bool DeflateAnalyzer::step() {
  if (walk_.is_ahead()) return false;
  switch (state_) {
    case State::kMember:
      start_member();
      return true;
    case State::kBlock:
      start_block();
      return true;
    case State::kTokens:
      return walk_tokens();
    case State::kStored:
      if (!walk_.has(block_.stored_size)) return false;
      walk_.advance(block_.stored_size);
      end_block();
      return true;
    case State::kTrailer:
      end_member();
      return true;
    case State::kEnd:
      break;
  }
  return false;
}

void DeflateAnalyzer::start_member() {
  auto header = parser_.next_member();
  coder_.more_members(header.has_value());
  if (!header) {
    std::string rest = parser_.rest();
    coder_.text(rest);
    state_ = State::kEnd;
    return;
  }
  coder_.text(*header);
  walk_.start_member();
  start_segment();
  state_ = State::kBlock;
}

void DeflateAnalyzer::start_segment() {
  if (segment_ == survey_.segments.size()) throw_other();
  walk_.start_segment(coder_.segment_size(survey_.segments[segment_++]));
}

void DeflateAnalyzer::start_block() {
  parser_.next_block(block_);
  coder_.block_head(block_);
  index_ = 0;
  run_ = 0;
  state_ = block_.kind == Kind::kStored ? State::kStored : State::kTokens;
}

bool DeflateAnalyzer::walk_tokens() {
  for (; index_ < block_.tokens.size(); ++index_) {
    const auto predicted = walk_.predict();
    if (!predicted) return false;
    const Token token = block_.tokens[index_];
    if (token == *predicted) {
      ++run_;
    } else {
      if (token.distance == 0 && token.length != walk_.byte()) throw_other();
      coder_.predicted_run(run_);
      coder_.block_ends(false);
      coder_.correction(token, *predicted, walk_.byte());
      run_ = 0;
      ++corrections_;
    }
    walk_.advance(size_of(token));
  }
  if (walk_.is_ahead()) return false;
  tokens_ += block_.tokens.size();
  coder_.predicted_run(run_);
  coder_.block_ends(true);
  if (block_.kind == Kind::kDynamic) {
    coder_.dynamic_header(block_.header, count_symbols(block_.tokens));
  }
  end_block();
  return true;
}

void DeflateAnalyzer::end_block() {
  state_ = block_.last ? State::kTrailer : State::kBlock;
  if (!block_.last && !is_flush(block_)) return;
  walk_.finish_segment();
  if (!block_.last) start_segment();
}

void DeflateAnalyzer::end_member() {
  const BlockParser::Trailer trailer = parser_.trailer();
  coder_.padding(trailer.padding);
  coder_.number(trailer.crc, walk_.member_crc());
  coder_.number(trailer.size, walk_.member_size());
  state_ = State::kMember;
}

}  // namespace storage
