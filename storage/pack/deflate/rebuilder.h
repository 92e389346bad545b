// DeflateRebuilder: plain bytes and their record become the gzip stream again, byte for byte.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/pack/deflate/block_writer.h"
#include "storage/pack/deflate/record_coder.h"
#include "storage/pack/deflate/stream_walk.h"

namespace storage {

// Whether the outcome is right only its digest tells. The record must stay meanwhile; what is none
// throws kCorrupt, what a newer sampan wrote, kUnsupported.
class DeflateRebuilder {
 public:
  DeflateRebuilder(std::string_view record, BitWriter::Sink sink);

  void write(std::string_view bytes);
  void finish();

 private:
  enum class State { kMember, kBlock, kTokens, kStored, kTrailer, kEnd };
  bool step();  // false: more plain bytes are needed, or none
  void start_member();
  void start_block();
  bool make_tokens();
  bool correct_token();
  void put_token(Token token);
  void finish_tokens();
  void end_block();
  void end_member();

  RecordCoder coder_;
  StreamWalk walk_;
  BlockWriter writer_;
  State state_ = State::kMember;
  DeflateBlock block_;
  std::uint64_t run_ = 0;       // tokens that were predicted and are still to come
  bool is_correcting_ = false;  // the next one is told
};

}  // namespace storage
