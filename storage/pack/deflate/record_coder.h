// RecordCoder: what a record says about a deflate stream, piece by piece, written or read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/pack/deflate/arithmetic_coder.h"
#include "storage/pack/deflate/header_plan.h"
#include "storage/pack/deflate/tokens.h"

namespace storage {

// As with the ArithmeticCoder each function takes what is written, and what is passed by reference
// is replaced by what was read.
class RecordCoder {
 public:
  RecordCoder() = default;                                         // writes
  explicit RecordCoder(std::string_view bytes) : coder_(bytes) {}  // reads

  bool more_members(bool more) { return coder_.bit(more_, more); }
  void text(std::string& bytes);  // a member's header, what is behind the last; like the last one?
  std::uint64_t segment_size(std::uint64_t size);
  void block_head(DeflateBlock& block);  // kind, last; of a stored one also size and padding
  std::uint8_t padding(std::uint8_t bits);
  std::uint32_t number(std::uint32_t value, std::uint32_t guess);

  // Tokens that were predicted; then either the block ends or a token is put right.
  std::uint64_t predicted_run(std::uint64_t count) { return run_.code(coder_, count); }
  bool block_ends(bool ends) { return coder_.bit(ends_, ends); }
  // `literal`: if it should be one.
  Token correction(Token token, Token predicted, std::uint8_t literal);

  void dynamic_header(DynamicHeader& header, const SymbolCounts& counts);

  std::size_t size() const { return coder_.bytes().size(); }
  std::string finish();

 private:
  void lengths(std::vector<std::uint8_t>& lengths, std::size_t& literal_count,
               const LengthPlan& plan);
  void runs(DynamicHeader& header, const std::vector<std::uint8_t>& lengths);
  void run_code(DynamicHeader& header);

  ArithmeticCoder coder_;
  Chance more_, same_text_, last_, same_size_, ends_, guessed_, same_lengths_;
  Chance same_run_code_, same_run_count_;
  std::array<Chance, 2> is_match_, same_length_, same_distance_;
  std::string last_text_;
  std::uint64_t last_size_ = 0;
  NumberModel text_size_, segment_, stored_, run_, run_count_;
  SymbolModel<8> text_byte_;
  SymbolModel<2> kind_, runs_kind_;
  SymbolModel<3> run_length_;
  SymbolModel<7> padding_;
  std::array<SymbolModel<8>, 2> length_;
  std::array<NumberModel, 2> distance_;
  SymbolModel<5> literal_count_, distance_count_, run_symbol_;
  SymbolModel<4> run_code_count_;
  SymbolModel<7> run_extra_;
  std::array<SymbolModel<4>, 32> code_length_;  // by the planned one, for literals and distances
};

}  // namespace storage
