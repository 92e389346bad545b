// LogWriter: cuts a container's two streams into lines and hands them to its log.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/log/log_file.h"
#include "engine/log/log_target.h"

namespace engine {

// Lines have at most kMaxLine bytes; a longer one is written in parts of which only the last ends
// in '\n'.
class LogWriter {
 public:
  static constexpr std::size_t kMaxLine = 16384;

  LogWriter() = default;  // writes nothing: --log-driver none
  explicit LogWriter(std::unique_ptr<LogTarget> target) : target_(std::move(target)) {}
  LogWriter(fs::path path, LogLimits limits, LogFormat format = LogFormat::kJson)
      : LogWriter(std::make_unique<LogFile>(std::move(path), format, limits, std::string())) {}

  void write(Stream stream, std::string_view bytes, base::Nanoseconds time);
  void finish(base::Nanoseconds time);  // what is left without a newline
  // Whether there is work in the background that settle() looks at.
  bool is_busy() const { return target_ && target_->is_busy(); }
  void settle();
  std::uint64_t lost_lines() const { return target_ ? target_->lost_lines() : 0; }

 private:
  std::string_view cut_long_lines(Stream stream, std::string_view text, base::Nanoseconds time);

  std::unique_ptr<LogTarget> target_;
  std::string pending_[2];  // of each stream: a line that has not ended yet
};

}  // namespace engine
