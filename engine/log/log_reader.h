// LogReader: reads a container's log and what was rotated away from it, from the end where only a
// tail is wanted, and follows it while it grows.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "engine/log/log_format.h"
#include "engine/log/log_trail.h"
#include "engine/log/log_view.h"

namespace engine {

namespace fs = std::filesystem;

class LogReader {
 public:
  LogReader(fs::path path, LogFormat format, const LogOptions& options, LogSink sink);

  // Everything that is there now, as the options say.
  void read_existing();

  // The same, then what is added, until `writer` (a pidfd) has ended and all is read.
  void follow(int writer_pidfd);

 private:
  struct File {
    base::UniqueFd fd;
    bool is_compressed = false;
  };
  struct Place {
    std::size_t file = 0;  // index into files_, oldest first
    off_t offset = 0;
  };
  bool try_open_files();  // false: they were rotated meanwhile
  void open_files();
  Place find_tail();
  void read_rest();  // of the current file
  void take_records();
  void drain();  // through rotations, to the newest byte
  void go_on_with(base::UniqueFd file);

  fs::path path_;
  LogOptions options_;
  LogFormat format_;
  LogDecoder decoder_;
  LogView view_;
  std::vector<File> files_;
  base::UniqueFd current_;
  std::optional<LogTrail> trail_;  // while it follows
  std::string partial_;
  LogEntry entry_;
};

}  // namespace engine
