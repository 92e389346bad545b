#include "storage/pack/deflate/rebuilder.h"

#include <algorithm>

#include "base/error.h"
#include "storage/pack/deflate/analyzer.h"

namespace storage {
namespace {

using BlockKind = DeflateBlock::Kind;

constexpr std::size_t kRebuildPiece = 64U << 10U;
constexpr std::size_t kRecordHead = kRecordMagic.size() + 2;

std::unique_ptr<TokenEncoder> encoder_of(std::string_view record) {
  if (record.size() < kRecordHead || !record.starts_with(kRecordMagic)) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is damaged");
  }
  const auto kind = static_cast<EncoderChoice::Kind>(record[kRecordMagic.size()]);
  const auto level = static_cast<std::uint8_t>(record[kRecordMagic.size() + 1]);
  auto encoder = make_token_encoder({.kind = kind, .level = level});
  if (!encoder) {
    throw base::Error(base::ErrorKind::kUnsupported, "a blob's record is of a newer sampan");
  }
  return encoder;
}

}  // namespace

DeflateRebuilder::DeflateRebuilder(std::string_view record, BitWriter::Sink sink)
    : coder_(record.substr(std::min(record.size(), kRecordHead))),
      walk_(encoder_of(record)),
      writer_(std::move(sink)) {}

void DeflateRebuilder::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kRebuildPiece);
    bytes.remove_prefix(piece.size());
    walk_.append(piece);
    while (step()) {
    }
    walk_.forget_past();
  }
}

void DeflateRebuilder::finish() {
  while (step()) {
  }
  if (state_ != State::kEnd || !walk_.at_end()) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is of another layer");
  }
  writer_.flush();
}

bool DeflateRebuilder::step() {
  if (walk_.is_ahead()) return false;
  switch (state_) {
    case State::kMember:
      start_member();
      return true;
    case State::kBlock:
      start_block();
      return true;
    case State::kTokens:
      return make_tokens();
    case State::kStored:
      if (!walk_.has(block_.stored_size)) return false;
      writer_.put_block(block_);
      writer_.put_bytes(walk_.view(block_.stored_size));
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

void DeflateRebuilder::start_member() {
  const bool is_member = coder_.more_members(false);
  std::string text;
  coder_.text(text);
  writer_.put_bytes(text);
  if (!is_member) {
    state_ = State::kEnd;
    return;
  }
  walk_.start_member();
  walk_.start_segment(coder_.segment_size(0));
  state_ = State::kBlock;
}

void DeflateRebuilder::start_block() {
  coder_.block_head(block_);
  block_.tokens.clear();
  state_ = State::kStored;
  if (block_.kind == BlockKind::kStored) return;
  run_ = coder_.predicted_run(0);
  is_correcting_ = !coder_.block_ends(false);
  state_ = State::kTokens;
}

void DeflateRebuilder::put_token(Token token) {
  if (block_.tokens.size() == kMaxBlockTokens) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is damaged");
  }
  block_.tokens.push_back(token);
  walk_.advance(size_of(token));
}

bool DeflateRebuilder::make_tokens() {
  for (; run_ > 0; --run_) {
    const auto predicted = walk_.predict();
    if (!predicted) return false;
    put_token(*predicted);
  }
  if (is_correcting_) return correct_token();
  finish_tokens();
  return true;
}

bool DeflateRebuilder::correct_token() {
  const auto predicted = walk_.predict();
  if (!predicted) return false;
  put_token(coder_.correction({}, *predicted, walk_.byte()));
  run_ = coder_.predicted_run(0);
  is_correcting_ = !coder_.block_ends(false);
  return true;
}

void DeflateRebuilder::finish_tokens() {
  if (block_.kind == BlockKind::kDynamic) {
    coder_.dynamic_header(block_.header, count_symbols(block_.tokens));
  }
  writer_.put_block(block_);
  end_block();
}

void DeflateRebuilder::end_block() {
  const bool is_flush = block_.kind == BlockKind::kStored && block_.stored_size == 0;
  state_ = block_.last ? State::kTrailer : State::kBlock;
  if (!block_.last && !is_flush) return;
  walk_.finish_segment();
  if (!block_.last) walk_.start_segment(coder_.segment_size(0));
}

void DeflateRebuilder::end_member() {
  writer_.align(coder_.padding(0));
  writer_.put_number(coder_.number(0, walk_.member_crc()));
  writer_.put_number(coder_.number(0, walk_.member_size()));
  state_ = State::kMember;
}

}  // namespace storage
