// TarWriter: checked entries as a tar stream: ustar, with pax records where that does not suffice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "storage/unpack/tar_reader.h"

namespace storage {

// The same entries give the same bytes. Times are whole seconds, as docker writes them; extended
// attributes are SCHILY.xattr records, which every engine reads. Belongs to one thread.
class TarWriter {
 public:
  // Called with the stream's bytes in order; may throw.
  using Sink = std::function<void(std::string_view)>;
  explicit TarWriter(Sink sink);
  ~TarWriter();  // without finish(): the stream ends in the middle

  // Of a file with data exactly `entry.size` bytes must follow by write(); throws kCorrupt with the
  // next entry where there were fewer (it shrank meanwhile), and drops what is more.
  void add(const TarEntry& entry);
  void write(std::string_view bytes);
  void finish();  // the mark of the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace storage
