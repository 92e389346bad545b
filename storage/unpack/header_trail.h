// HeaderTrail: the headers of the entry that libarchive has just read, for what it does not tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace storage {

// Fed with every block that the reader takes; keeps bytes only while an entry's headers are read,
// so what limits those limits this. Positions count from the first block's first byte.
class HeaderTrail {
 public:
  enum class Keep { kNo, kYes };
  void leave(Keep keep);               // before the block ceases to be valid
  void enter(std::string_view block);  // the next one
  // The headers of the next entry begin here.
  void begin(std::uint64_t position);
  // The type byte of the entry whose headers end before `end`, past those that only describe it.
  std::optional<char> find_type(std::uint64_t end) const;

 private:
  std::optional<char> at(std::uint64_t position) const;
  std::uint64_t body_of(std::uint64_t header) const;

  std::string kept_;  // what stands before the block
  std::string_view block_;
  std::uint64_t start_ = 0, block_start_ = 0;
};

}  // namespace storage
