// LogView: what `logs` shows of records that are read one after the other, wherever they come from.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "engine/log/log_format.h"

namespace engine {

struct LogOptions {
  bool follow = false, timestamps = false;
  bool details = false;    // what --log-opt labels, env and tag chose stands before each line
  std::string attributes;  // that text; filled by Engine::logs()
  std::int64_t tail = -1;  // lines; -1: all
  base::Nanoseconds since = 0, until = 0;  // 0: no bound
};

using LogSink = std::function<void(bool is_stderr, std::string_view)>;

class LogView {
 public:
  LogView(const LogOptions& options, LogSink sink) : options_(options), sink_(std::move(sink)) {}

  void show(const LogEntry& entry);  // kept until flush(), or until the other stream's turn
  void flush();
  void show_gap(std::uint64_t bytes);             // that so many are missing here
  bool is_past_end() const { return past_end_; }  // a record later than `until` was seen

 private:
  LogOptions options_;
  LogSink sink_;
  std::string shown_;
  bool shown_is_stderr_ = false;
  bool past_end_ = false;
};

}  // namespace engine
