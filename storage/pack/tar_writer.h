// TarWriter: checked entries as a tar stream: ustar, with pax records where that does not suffice.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/unpack/tar_reader.h"

namespace storage {

// Where a file has data; the rest of it are holes.
struct TarRegion {
  std::uint64_t offset = 0, length = 0;
};

// The same entries give the same bytes. Times are whole seconds, as docker writes them. Extended
// attributes are SCHILY.xattr records, which every engine reads; files with holes are in GNU's
// sparse format 1.0. Belongs to one thread.
class TarWriter {
 public:
  // Called with the stream's bytes in order; may throw.
  using Sink = std::function<void(std::string_view)>;
  // Times above `latest` (seconds since 1970) become that: SOURCE_DATE_EPOCH.
  explicit TarWriter(Sink sink, std::int64_t latest = std::numeric_limits<std::int64_t>::max());
  ~TarWriter();  // without finish(): the stream ends in the middle

  // Of a file with data exactly `entry.size` bytes must follow by write(); throws kCorrupt with the
  // next entry where there were fewer (it shrank meanwhile), and drops what is more.
  // `regions`: of a file with holes, whose bytes are given all the same, as zeros, by write().
  void add(const TarEntry& entry, const std::vector<TarRegion>& regions = {});
  void write(std::string_view bytes);
  void finish();  // the mark of the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace storage
