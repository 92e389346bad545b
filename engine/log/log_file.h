// LogFile: a LogTarget of files with a bound on their size, rotated and compressed as they fill.
#pragma once

#include <filesystem>
#include <string>

#include "base/unique_fd.h"
#include "engine/log/log_compressor.h"
#include "engine/log/log_target.h"

namespace engine {

namespace fs = std::filesystem;

struct LogLimits {
  std::uint64_t max_size = 20U << 20U;  // of one file
  int max_files = 5;                    // the current one included
  bool compress = false;                // those that were rotated away
};

// Where the size would exceed the limit, <path> becomes <path>.1, that <path>.2, and so on, and
// "<path>.1.gz" likewise; where somebody follows the log (LogTrail holds a lock on its directory)
// that waits until they have the file open, a second at most. The file is made at the first byte.
// Compression is another process's work and nobody waits for it: a file that is being followed, or
// that comes while another is being compressed, has its turn later.
class LogFile final : public LogTarget {
 public:
  LogFile(fs::path path, LogFormat format, LogLimits limits, std::string attributes);

  void add(Stream stream, std::string_view text, base::Nanoseconds time) override;
  void flush() override;
  bool is_busy() const override { return compressor_.is_busy(); }
  void settle() override;
  std::uint64_t lost_lines() const override { return lost_lines_; }

 private:
  void open();
  void append_record(Stream stream, std::string_view text, base::Nanoseconds time);
  void rotate();
  void shift_files();
  void compress_next();
  void wait_for_followers();
  const std::string& render_time(base::Nanoseconds time);

  fs::path path_;
  LogFormat format_;
  LogLimits limits_;
  std::string attributes_;  // a JSON object, or empty
  base::UniqueFd file_;
  std::uint64_t size_ = 0;
  std::uint64_t lost_lines_ = 0;
  base::Nanoseconds ignore_followers_ = 0;  // until then
  base::Nanoseconds shown_time_ = 0;        // that of shown_time_text_, which many lines share
  std::string shown_time_text_;
  std::string buffer_;  // rendered, not yet written; empty between calls
  LogCompressor compressor_;
};

// "<path>.<number>", the file that was rotated away so many times; 0: `path` itself.
fs::path rotated_log(const fs::path& path, int number);
fs::path compressed_log(const fs::path& path, int number);

}  // namespace engine
