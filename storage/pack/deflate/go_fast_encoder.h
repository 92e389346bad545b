// GoFastEncoder: the tokens of Go's compress/flate at level 1, whose kin is Snappy.
#pragma once

#include "storage/pack/deflate/unit_encoder.h"

namespace storage {

class GoFastEncoder : public UnitEncoder {
 public:
  GoFastEncoder();

 protected:
  void forget(std::uint64_t position) override;
  void encode_unit(std::uint64_t begin, std::uint64_t end, std::vector<Token>& tokens) override;

 private:
  struct Entry {
    std::uint64_t mark = 0;  // the position and one; 0: none
    std::uint32_t text = 0;  // the four bytes there
  };
  struct Search;
  bool find(Search& search);
  bool exchange(std::uint64_t position, std::uint32_t text, std::uint64_t& candidate);

  std::vector<Entry> table_;
  std::uint64_t floor_ = 0;
};

}  // namespace storage
