// LogWriter: a container's output as docker's json-file log, with a bound on its size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/time.h"
#include "base/unique_fd.h"

namespace engine {

namespace fs = std::filesystem;

struct LogLimits {
  std::uint64_t max_size = 20U << 20U;  // of one file
  int max_files = 5;                    // the current one included
};

enum class Stream { kStdout, kStderr };

// One line of the log: {"log":"…\n","stream":"stdout","time":"…"} and a newline. Bytes that are not
// UTF-8 become U+FFFD, as docker's encoder has it.
std::string render_log_line(std::string_view text, Stream stream, base::Nanoseconds time);

// Splits both streams into lines of at most kMaxLine bytes; a longer one is written in parts of
// which only the last ends in '\n'. Where the size would exceed the limit, <path> becomes <path>.1,
// that <path>.2, and so on; where somebody follows the log (LogReader holds a lock on its
// directory) that waits until they have the file open, a second at most. The file is made at the
// first byte. A full disk loses log lines, never the container: write() does not throw for it.
class LogWriter {
 public:
  static constexpr std::size_t kMaxLine = 16384;

  LogWriter() = default;  // writes nothing: --log-driver none
  LogWriter(fs::path path, LogLimits limits);

  void write(Stream stream, std::string_view bytes, base::Nanoseconds time);
  void finish(base::Nanoseconds time);  // what is left without a newline
  std::uint64_t lost_lines() const { return lost_lines_; }

 private:
  void add_line(Stream stream, std::string_view text, base::Nanoseconds time);
  void flush();
  void rotate();
  void wait_for_followers();
  const std::string& render_time(base::Nanoseconds time);

  fs::path path_;
  LogLimits limits_;
  base::UniqueFd file_;
  std::uint64_t size_ = 0;
  std::uint64_t lost_lines_ = 0;
  base::Nanoseconds ignore_followers_ = 0;  // until then
  std::string pending_[2];                  // of each stream: a line that has not ended yet
  base::Nanoseconds shown_time_ = 0;        // that of shown_time_text_, which many lines share
  std::string shown_time_text_;
  std::string buffer_;  // rendered, not yet written; empty between calls
};

// max-size and max-file of --log-opt. Throws kInvalid with docker's words.
LogLimits parse_log_limits(std::string_view max_size, std::string_view max_file);

}  // namespace engine
