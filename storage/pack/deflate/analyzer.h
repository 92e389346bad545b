// DeflateAnalyzer: a record of how plain bytes became just this gzip stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/pack/deflate/block_parser.h"
#include "storage/pack/deflate/record_coder.h"
#include "storage/pack/deflate/stream_walk.h"

namespace storage {

// What has to be known beforehand: the plain sizes of the segments, which end where the encoder
// was flushed (an empty stored block tells) and with each member.
struct StreamSurvey {
  std::vector<std::uint64_t> segments;
  std::uint64_t plain_size = 0;
};
// Throws as BlockParser does; no segments: no gzip stream.
StreamSurvey survey_stream(BitReader::Source source);

// Takes less than 16 MiB, whatever the stream.
class DeflateAnalyzer {
 public:
  // The survey must outlive it.
  DeflateAnalyzer(EncoderChoice choice, const StreamSurvey& survey, BitReader::Source source);

  // The plain bytes, one after the other. Throws kCorrupt where they are not those of the stream.
  void write(std::string_view bytes);
  std::string finish();  // gives the record

  std::size_t record_size() const { return coder_.size(); }
  std::uint64_t tokens() const { return tokens_; }
  std::uint64_t corrections() const { return corrections_; }  // among them

 private:
  enum class State { kMember, kBlock, kTokens, kStored, kTrailer, kEnd };
  bool step();  // false: more plain bytes are needed, or none
  void start_member();
  void start_segment();
  void start_block();
  bool walk_tokens();
  void end_block();
  void end_member();

  const StreamSurvey& survey_;
  std::size_t segment_ = 0;
  std::string magic_;
  BlockParser parser_;
  RecordCoder coder_;
  StreamWalk walk_;
  State state_ = State::kMember;
  DeflateBlock block_;
  std::size_t index_ = 0;  // of the block's next token
  std::uint64_t run_ = 0;  // tokens that were predicted
  std::uint64_t tokens_ = 0, corrections_ = 0;
};

// The beginning of every record: the format's version, then a byte each for the encoder's kind and
// level; what follows is RecordCoder's.
constexpr std::string_view kRecordMagic = "sampan-deflate-1\n";

}  // namespace storage
