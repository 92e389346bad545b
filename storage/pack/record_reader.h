// RecordReader: the operations of a layer's tar record, one after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "storage/unpack/tar_recorder.h"

namespace storage {

struct RecordStep {
  TarOperation operation = TarOperation::kEnd;
  std::string path;                    // of kFile, kSameFile and kReplaced
  std::uint64_t offset = 0, size = 0;  // of a file's part; `size` also of kRaw and kEnd
};

// Throws kUnsupported where the file is missing or of another version, kCorrupt where it is
// damaged. Takes 300 KiB whatever the record's size.
class RecordReader {
 public:
  explicit RecordReader(const std::filesystem::path& file);
  ~RecordReader();

  // The bytes of the last step, if that was kRaw, must have been read; kEnd is the last.
  RecordStep next();
  // The next piece of the kRaw step's bytes; empty at their end. Valid until the next call.
  std::string_view read_raw();

 private:
  struct Stream;
  std::uint64_t number();
  std::string text();

  std::unique_ptr<Stream> stream_;
  std::uint64_t raw_left_ = 0;
  std::string path_;
};

}  // namespace storage
