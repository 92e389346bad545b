// LogJournal: a LogTarget that is systemd's journal, with the fields docker gives each message.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "engine/log/log_target.h"

namespace engine {

constexpr char kJournalSocket[] = "/run/systemd/journal/socket";

// "NAME=value\n", or, where the value has a newline, the name, a newline, eight bytes of length and
// the value (systemd.io/JOURNAL_NATIVE_PROTOCOL).
void append_journal_field(std::string& out, std::string_view name, std::string_view value);

// A datagram for each line. A journal that does not take one within a second is not waited for
// again for a minute: what does not fit is lost.
class LogJournal final : public LogTarget {
 public:
  LogJournal(std::string socket_path, std::string fields);

  void add(Stream stream, std::string_view text, base::Nanoseconds time) override;
  void flush() override {}
  std::uint64_t lost_lines() const override { return lost_lines_; }

 private:
  bool send_message();

  std::string socket_path_;
  std::string fields_;  // those that are the same for each message, rendered
  base::UniqueFd socket_;
  std::string message_;
  std::uint64_t lost_lines_ = 0;
  std::uint64_t ordinal_ = 0;
  base::Nanoseconds ignore_until_ = 0;
};

}  // namespace engine
