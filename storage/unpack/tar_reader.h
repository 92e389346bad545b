// TarReader: a tar stream as checked entries: the one place where tar headers are parsed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "storage/unpack/attributes.h"

namespace storage {

struct TarEntry {
  enum class Type { kFile, kDirectory, kSymlink, kHardLink, kCharDevice, kBlockDevice, kFifo };
  Type type = Type::kFile;
  std::string path;         // as in the archive
  std::string link_target;  // of both kinds of links
  Attributes attributes;    // xattrs that an image may not set are gone
  std::uint64_t size = 0;   // logical; holes of sparse files included
  unsigned device_major = 0, device_minor = 0;
};

// Belongs to one thread. Throws kCorrupt where the stream is no tar or ends too early, kInvalid for
// values that no file can have.
class TarReader {
 public:
  // `source` gives the next bytes, valid until it is called again; empty at the end.
  using Source = std::function<std::string_view()>;
  // `header_bytes`: so much of the stream one entry's headers may take, which libarchive keeps in
  // memory (CVE-2025-58183).
  TarReader(Source source, const OverlayPolicy& policy, std::size_t header_bytes = 2U << 20U);
  ~TarReader();

  // The next entry, valid until the next call; null at the end of the archive. What is left of the
  // last entry's data is skipped.
  const TarEntry* next();

  // The next piece of the entry's data; pieces come in order and leave out holes.
  struct Piece {
    std::uint64_t offset = 0;
    std::string_view bytes;
    std::uint64_t position = 0;  // of the bytes in the stream that `source` gave
  };
  std::optional<Piece> read();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace storage
