#include "engine/log/log_journal.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

namespace engine {
namespace {

constexpr int kPatienceMilliseconds = 1000;
constexpr base::Nanoseconds kGrudge = 60'000'000'000;

}  // namespace

void append_journal_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  if (value.find('\n') == std::string_view::npos) {
    out += '=';
  } else {
    out += '\n';
    for (unsigned i = 0; i < 8; ++i) out.push_back(static_cast<char>(value.size() >> (8 * i)));
  }
  out += value;
  out += '\n';
}

LogJournal::LogJournal(std::string socket_path, std::string fields)
    : socket_path_(std::move(socket_path)),
      fields_(std::move(fields)),
      socket_(
          base::check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {}

void LogJournal::add(Stream stream, std::string_view text, base::Nanoseconds time) {
  const bool whole = text.ends_with('\n');
  if (whole) text.remove_suffix(1);
  message_.clear();
  append_journal_field(message_, "MESSAGE", text);
  // syslog(3): LOG_INFO and LOG_ERR, as docker has it.
  append_journal_field(message_, "PRIORITY", stream == Stream::kStdout ? "6" : "3");
  append_journal_field(message_, "SYSLOG_TIMESTAMP", base::format_rfc3339(time));
  append_journal_field(message_, "CONTAINER_LOG_ORDINAL", std::to_string(++ordinal_));
  if (!whole) append_journal_field(message_, "CONTAINER_PARTIAL_MESSAGE", "true");
  message_ += fields_;
  if (!send_message()) ++lost_lines_;
}

// By address each time: a journal that was started anew has another socket of the same name.
bool LogJournal::send_message() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, socket_path_.c_str(), socket_path_.size() + 1);
  const base::Nanoseconds start = base::now();
  for (;;) {
    if (sendto(socket_.get(), message_.data(), message_.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), sizeof address) >= 0) {
      return true;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN || start < ignore_until_) return false;
    // No poll(2) tells of room in a socket that is not connected to us: its queue is asked again.
    if (base::now() - start > kPatienceMilliseconds * 1'000'000LL) {
      ignore_until_ = base::now() + kGrudge;
      return false;
    }
    poll(nullptr, 0, 1);
  }
}

}  // namespace engine
