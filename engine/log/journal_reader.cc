#include "engine/log/journal_reader.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr std::size_t kSizeBytes = 8;

// One field: its length, 0 where it is not whole. An empty line ends the entry.
std::size_t take_field(std::string_view bytes, std::string_view& name, std::string_view& value) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string_view line = bytes.substr(0, end);
  const std::size_t equals = line.find('=');
  name = line.substr(0, equals);
  if (equals != std::string_view::npos || line.empty()) {
    value = line.empty() ? line : line.substr(equals + 1);
    return end + 1;
  }
  if (bytes.size() < end + 1 + kSizeBytes) return 0;
  std::uint64_t size = 0;
  for (std::size_t i = kSizeBytes; i-- > 0;) {
    size = size << 8U | static_cast<unsigned char>(bytes[end + 1 + i]);
  }
  const std::size_t start = end + 1 + kSizeBytes;
  if (size >= bytes.size() - start) return 0;
  value = bytes.substr(start, size);
  return start + size + 1;
}

std::string find_journalctl() {
  for (const char* path : {"/usr/bin/journalctl", "/bin/journalctl"}) {
    if (access(path, X_OK) == 0) return path;
  }
  throw base::Error(base::ErrorKind::kUnsupported,
                    "the container's log is in the journal, and there is no journalctl to read it");
}

}  // namespace

std::size_t take_journal_entry(std::string_view bytes, LogEntry& entry, std::string& cursor,
                               bool& valid) {
  std::size_t taken = 0;
  bool has_text = false;
  bool is_partial = false;
  std::string_view time;
  std::string_view microseconds;
  for (;;) {
    std::string_view name;
    std::string_view value;
    const std::size_t length = take_field(bytes.substr(taken), name, value);
    if (length == 0) return 0;
    taken += length;
    if (name.empty()) break;
    if (name == "MESSAGE") {
      entry.text = value;
      has_text = true;
    } else if (name == "PRIORITY") {
      entry.is_stderr = value == "3";
    } else if (name == "CONTAINER_PARTIAL_MESSAGE") {
      is_partial = value == "true";
    } else if (name == "SYSLOG_TIMESTAMP") {
      time = value;
    } else if (name == "__REALTIME_TIMESTAMP") {
      microseconds = value;
    } else if (name == "__CURSOR") {
      cursor = value;
    }
  }
  valid = has_text;
  if (!has_text) return taken;
  if (!is_partial) entry.text += '\n';
  try {
    entry.time = base::parse_rfc3339(time);
  } catch (const base::Error&) {  // written by somebody else
    std::int64_t count = 0;
    std::from_chars(microseconds.data(), microseconds.data() + microseconds.size(), count);
    entry.time = count * 1000;
  }
  return taken;
}

JournalReader::JournalReader(std::string id, const LogOptions& options, LogSink sink)
    : id_(std::move(id)), options_(options), view_(options, std::move(sink)) {}

JournalReader::Program JournalReader::start(const std::vector<std::string>& words) const {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  Program program{.pid = -1, .out = base::UniqueFd(ends[0])};
  const base::UniqueFd theirs(ends[1]);
  base::SpawnOptions options;
  options.program = find_journalctl();
  options.arguments = {"journalctl", "--quiet"};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  options.descriptors = {{-1, 0}, {theirs.get(), 1}, {-1, 2}};
  program.pid = base::spawn(options);
  return program;
}

// To the end; or, where a process is named, until that has ended.
void JournalReader::read_entries(int fd, int until_pidfd) {
  std::string bytes;
  std::array<char, 65536> chunk;
  LogEntry entry;
  while (!view_.is_past_end()) {
    std::array<pollfd, 2> items = {{{.fd = fd, .events = POLLIN, .revents = 0},
                                    {.fd = until_pidfd, .events = POLLIN, .revents = 0}}};
    if (poll(items.data(), items.size(), -1) < 0 && errno != EINTR) base::throw_errno("poll");
    if (items[1].revents != 0) return;
    if (items[0].revents == 0) continue;
    const ssize_t count = read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    bytes.append(chunk.data(), static_cast<std::size_t>(count));
    std::size_t taken = 0;
    for (;;) {
      bool valid = false;
      const std::size_t length =
          take_journal_entry(std::string_view(bytes).substr(taken), entry, cursor_, valid);
      if (length == 0) break;
      if (valid && !muted_) view_.show(entry);
      taken += length;
    }
    bytes.erase(0, taken);
    view_.flush();
  }
}

void JournalReader::read_all(const std::vector<std::string>& words) {
  const Program program = start(words);
  read_entries(program.out.get(), -1);
  kill(program.pid, SIGTERM);  // where the rest is not of interest
  base::wait_for_child(program.pid);
}

// The journal writes what it is told a moment later.
void JournalReader::read_existing() {
  read_all({"--sync"});
  std::vector<std::string> words = {"--output=export", "CONTAINER_ID_FULL=" + id_};
  if (options_.since != 0) {
    words.push_back("--since=@" + std::to_string(options_.since / 1'000'000'000));
  }
  if (options_.tail >= 0) words.push_back("--lines=" + std::to_string(options_.tail));
  if (options_.tail == 0) words.back() = "--lines=1";  // only to know where the end is
  muted_ = options_.tail == 0;
  read_all(words);
  muted_ = false;
}

std::vector<std::string> JournalReader::where_we_were() const {
  std::vector<std::string> words = {"--output=export", "CONTAINER_ID_FULL=" + id_};
  if (!cursor_.empty()) words.push_back("--after-cursor=" + cursor_);
  return words;
}

// What came at the very end is asked for once more: a program that follows can't be asked whether
// it has seen all.
void JournalReader::follow(int writer_pidfd) {
  read_existing();
  std::vector<std::string> words = where_we_were();
  words.insert(words.end(), {"--follow", "--no-tail"});
  const Program program = start(words);
  read_entries(program.out.get(), writer_pidfd);
  kill(program.pid, SIGTERM);
  base::wait_for_child(program.pid);
  if (view_.is_past_end()) return;
  read_all({"--sync"});
  read_all(where_we_were());
}

}  // namespace engine
