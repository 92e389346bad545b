// JournalReader: a container's lines out of systemd's journal, read by `journalctl`.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/log/log_view.h"

namespace engine {

// One entry of the export format (systemd.io/JOURNAL_EXPORT_FORMATS) at the start of `bytes`: how
// long it is, 0 where it is not whole. `valid` is false for one that is no line of a container's.
std::size_t take_journal_entry(std::string_view bytes, LogEntry& entry, std::string& cursor,
                               bool& valid);

class JournalReader {
 public:
  JournalReader(std::string id, const LogOptions& options, LogSink sink);

  void read_existing();
  // The same, then what is added, until `writer` (a pidfd) has ended.
  void follow(int writer_pidfd);

 private:
  struct Program {
    pid_t pid = -1;
    base::UniqueFd out;
  };
  Program start(const std::vector<std::string>& words) const;
  void read_entries(int fd, int until_pidfd);
  void read_all(const std::vector<std::string>& words);
  std::vector<std::string> where_we_were() const;

  std::string id_;
  LogOptions options_;
  LogView view_;
  std::string cursor_;  // of the last entry that was read
  bool muted_ = false;
};

}  // namespace engine
