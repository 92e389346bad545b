// TarRecorder: what a tar stream holds besides the content of files, kept so that the identical
// stream can be written again (storage/FORMAT.md, "The tar record").
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace storage {

constexpr char kTarRecordName[] = "tar-record";
constexpr char kReplacedName[] = "replaced";

// Operations of a record, each a byte followed by numbers (7 bits a byte, the lowest first, the
// highest bit says that more follow) and bytes.
enum class TarOperation : unsigned char {
  kEnd = 0,       // size of the stream
  kRaw = 1,       // size, bytes
  kFile = 2,      // size of the path, path, offset, size: so much of a file in diff/
  kSameFile = 3,  // offset, size: of the file named last
  kReplaced = 4,  // size of the path, path: what was there until now is in replaced/<n>, n counts
};

// The record's file: these bytes, then one zstd frame of operations.
constexpr std::string_view kTarRecordMagic = "sampan-tar-1\n";

// Fed by the thread that reads the tar. What is not claimed as content is kept as it came, so a
// claim that is missing costs space and never correctness; the DiffID of what is written in the end
// is the proof.
class TarRecorder {
 public:
  // `folder`: empty, beside the directory that the layer is unpacked into.
  explicit TarRecorder(const std::filesystem::path& folder);
  TarRecorder(const TarRecorder&) = delete;
  TarRecorder& operator=(const TarRecorder&) = delete;
  ~TarRecorder();

  // The stream's next bytes, valid until release().
  void take(std::string_view bytes);
  void release();

  // The stream's bytes from `position` on are those of the layer's file `path` from `offset` on.
  void content(std::uint64_t position, std::uint64_t size, const std::string& path,
               std::uint64_t offset);
  // Instead of removing a file or directory whose content may have been claimed: moves it aside.
  // False: it is still there and the caller's to remove.
  bool set_aside(int dir_fd, const std::string& name, const std::string& path);

  // After the last bytes. Throws.
  void finish();

 private:
  struct Compressor;
  void keep_until(std::uint64_t position);
  void flush_file();
  void give_up() noexcept;

  std::filesystem::path folder_;
  std::unique_ptr<Compressor> compressor_;  // null: given up
  base::UniqueFd replaced_;
  std::uint64_t replaced_count_ = 0;

  std::string_view block_;
  std::uint64_t block_start_ = 0;  // where it begins in the stream
  std::uint64_t recorded_ = 0;     // the stream's bytes before this are in the record

  std::string file_, last_file_;  // content not yet in the record, and whose was the last that is
  std::uint64_t file_offset_ = 0, file_size_ = 0;
};

}  // namespace storage
