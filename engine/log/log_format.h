// LogFormat: how one piece of a container's output lies in a log file, in docker's two formats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "base/time.h"

namespace engine {

// kJson: a JSON object a line. kLocal: docker's compact one; storage/FORMAT.md describes both.
enum class LogFormat { kJson, kLocal };
enum class Stream { kStdout, kStderr };

struct LogEntry {
  bool is_stderr = false;
  std::string text;  // with its newline, where it has one
  base::Nanoseconds time = 0;
};

// {"log":"…\n","stream":"stdout","attrs":{…},"time":"…"} and a newline. Bytes that are not UTF-8
// become U+FFFD, as docker's encoder has it. `attributes`: a rendered JSON object, or empty.
void append_json_record(std::string& out, std::string_view text, Stream stream,
                        std::string_view attributes, std::string_view time);
void append_json_text(std::string& out, std::string_view text);  // escaped, without quotes

// Its length, a message of Protocol Buffers, the length once more.
void append_local_record(std::string& out, std::string_view text, Stream stream,
                         base::Nanoseconds time);

// For tests and for callers without a hurry.
std::string render_log_line(std::string_view text, Stream stream, base::Nanoseconds time);

// Reads records one after the other; what a crash cut is passed over.
class LogDecoder {
 public:
  explicit LogDecoder(LogFormat format) : format_(format) {}

  // The first record of `bytes`: how long it is (0: not whole yet), and what it says in `entry`;
  // `valid` is false for one that is not ours.
  std::size_t take(std::string_view bytes, LogEntry& entry, bool& valid);

 private:
  std::size_t take_json(std::string_view bytes, LogEntry& entry, bool& valid);
  bool take_plain(std::string_view line, LogEntry& entry);
  bool decode_json(std::string_view line, LogEntry& entry);
  base::Nanoseconds parse_time(std::string_view text);

  LogFormat format_;
  std::string last_time_;  // many records share one
  base::Nanoseconds last_time_value_ = 0;
};

// nullopt for a line that is not whole or not ours.
std::optional<LogEntry> parse_log_line(std::string_view line);

// The offset at which the file's last `wanted` records start; or 0, with what is still wanted from
// older files.
off_t find_tail_offset(int fd, LogFormat format, std::int64_t& wanted);

// How much of the file, from its start, is whole records: a crash may have cut the last one.
off_t find_whole_length(int fd, LogFormat format);

}  // namespace engine
