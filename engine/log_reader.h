// LogReader: reads a json-file log and what was rotated away from it, from the end where only a
// tail is wanted, and follows it while it grows.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "engine/engine.h"

namespace engine {

namespace fs = std::filesystem;

struct LogEntry {
  bool is_stderr = false;
  std::string text;
  base::Nanoseconds time = 0;
};

// nullopt for a line that is not whole or not ours: a crash may have cut one.
std::optional<LogEntry> parse_log_line(std::string_view line);

class LogReader {
 public:
  using Sink = std::function<void(bool is_stderr, std::string_view)>;
  LogReader(fs::path path, const LogOptions& options, Sink sink);

  // Everything that is there now, as the options say.
  void read_existing();

  // Then what is added, until `writer` (a pidfd) has ended and all is read.
  void follow(int writer_pidfd);

 private:
  struct Place {
    std::size_t file = 0;  // index into files_, oldest first
    off_t offset = 0;
  };
  void open_files();
  Place find_tail() const;
  void read_rest();  // of the current file
  void drain();      // through rotations, to the newest byte
  // Opens the files that are newer than those we know. Whoever holds them loses nothing, however
  // many times they are rotated away before their turn comes.
  void find_newer_files();
  bool try_find_newer_files();  // false: they were rotated meanwhile
  bool take_changes();          // what inotify tells; true where a file was made or moved
  void show(std::string_view line);

  fs::path path_;
  LogOptions options_;
  Sink sink_;
  std::vector<base::UniqueFd> files_;
  base::UniqueFd current_;
  std::deque<base::UniqueFd> newer_;  // than the current one, oldest first
  base::UniqueFd watch_, folder_;     // while it follows
  std::string partial_;
  bool past_end_ = false;  // a line later than `until` was seen
};

}  // namespace engine
