// BlockParser: the blocks of a deflate stream and the gzip members around it, from untrusted bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/pack/deflate/bit_io.h"
#include "storage/pack/deflate/huffman.h"
#include "storage/pack/deflate/tokens.h"

namespace storage {

// What is no deflate throws kCorrupt; kUnsupported, what is larger than known programs make it.
// That a distance leads behind the stream's beginning, or a literal is right, is not checked here.
class BlockParser {
 public:
  explicit BlockParser(BitReader::Source source) : reader_(std::move(source)) {}

  // The header of a gzip member (RFC 1952, 2.3), or nothing at the end or before what is none; then
  // rest() gives what is left.
  std::optional<std::string> next_member();
  void next_block(DeflateBlock& block);  // until one says that it is the last
  struct Trailer {
    std::uint8_t padding = 0;  // the bits up to the next byte
    std::uint32_t crc = 0, size = 0;
  };
  Trailer trailer();
  std::string rest();

 private:
  void read_stored(DeflateBlock& block);
  void read_header(DynamicHeader& header);
  void read_runs(DynamicHeader& header);
  void read_tokens(std::vector<Token>& tokens);
  Token read_match(std::size_t symbol);
  void read_text(std::string& header);

  BitReader reader_;
  HuffmanDecoder run_code_, literals_, distances_;
};

// The lengths that the runs stand for, those of literals and of distances behind one another;
// nullopt where they are not as many as the header says, or the first one repeats one before it.
std::optional<std::vector<std::uint8_t>> find_lengths(const DynamicHeader& header);
std::vector<std::uint8_t> fixed_literal_lengths();  // RFC 1951, 3.2.6
std::vector<std::uint8_t> fixed_distance_lengths();

}  // namespace storage
