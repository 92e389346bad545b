// BlockWriter: blocks of deflate as bits.
#pragma once

#include <span>
#include <string_view>

#include "storage/pack/deflate/bit_io.h"
#include "storage/pack/deflate/tokens.h"

namespace storage {

class BlockWriter {
 public:
  explicit BlockWriter(BitWriter::Sink sink) : bits_(std::move(sink)) {}

  // A stored block's bytes are for put_bytes(). Throws kCorrupt where the header is impossible.
  void put_block(const DeflateBlock& block);
  void put_bytes(std::string_view bytes) { bits_.put_bytes(bytes); }  // only at a byte's border
  void align(std::uint8_t padding) { bits_.align(padding); }
  void put_number(std::uint32_t number) { bits_.put(number, 32); }
  void flush() { bits_.flush(); }

 private:
  void put_header(const DynamicHeader& header);
  void put_tokens(std::span<const Token> tokens, std::span<const std::uint8_t> literal_lengths,
                  std::span<const std::uint8_t> distance_lengths);

  BitWriter bits_;
};

}  // namespace storage
