#include "engine/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr std::size_t kChunk = 65536;
constexpr std::size_t kMaxLine = 1U << 20U;  // far above what LogWriter writes

fs::path numbered(const fs::path& path, int number) {
  return number == 0 ? path : fs::path(path.string() + "." + std::to_string(number));
}

base::UniqueFd open_log(const fs::path& path) {
  return base::UniqueFd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// "2026-11-21T22:09:09.120000000Z": always nine digits, as docker's `logs -t`.
std::string fixed_time(base::Nanoseconds time) {
  std::string text = base::format_rfc3339(time);
  const std::size_t dot = text.find('.');
  const std::size_t zone = text.size() - 1;
  if (dot == std::string::npos) return text.substr(0, zone) + ".000000000Z";
  return text.substr(0, zone) + std::string(9 - (zone - dot - 1), '0') + "Z";
}

// Counts newlines backwards from the end. The offset at which the last `wanted` lines start, or 0
// with what is still wanted from older files.
off_t find_tail_offset(int fd, std::int64_t& wanted) {
  struct stat info = {};
  base::check(fstat(fd, &info), "fstat");
  std::string chunk(kChunk, '\0');
  off_t end = info.st_size;
  bool at_last_byte = true;
  while (end > 0) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(kChunk));
    const ssize_t count = pread(fd, chunk.data(), static_cast<std::size_t>(end - start), start);
    base::check(count, "read log");
    for (ssize_t i = count; i-- > 0;) {
      if (chunk[static_cast<std::size_t>(i)] == '\n' && !at_last_byte && --wanted == 0) {
        return start + i + 1;
      }
      at_last_byte = false;
    }
    end = start;
  }
  if (info.st_size > 0) --wanted;
  return 0;
}

}  // namespace

std::optional<LogEntry> parse_log_line(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  try {
    LogEntry entry;
    entry.text = json.at("log").get<std::string>();
    entry.is_stderr = json.at("stream").get<std::string>() == "stderr";
    entry.time = base::parse_rfc3339(json.at("time").get<std::string>());
    return entry;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

LogReader::LogReader(fs::path path, const LogOptions& options, Sink sink)
    : path_(std::move(path)), options_(options), sink_(std::move(sink)) {}

void LogReader::open_files() {
  for (int number = 0;; ++number) {
    base::UniqueFd fd = open_log(numbered(path_, number));
    if (!fd && number > 0) break;
    if (fd) files_.push_back(std::move(fd));
  }
  std::reverse(files_.begin(), files_.end());
}

LogReader::Place LogReader::find_tail() const {
  if (options_.tail < 0 || files_.empty()) return {};
  std::int64_t wanted = options_.tail;
  for (std::size_t i = files_.size(); i-- > 0;) {
    if (wanted == 0) {
      struct stat info = {};
      base::check(fstat(files_[i].get(), &info), "fstat");
      return {i, info.st_size};
    }
    const off_t offset = find_tail_offset(files_[i].get(), wanted);
    if (wanted == 0) return {i, offset};
  }
  return {};
}

void LogReader::read_existing() {
  open_files();
  const Place place = find_tail();
  for (std::size_t i = place.file; i < files_.size(); ++i) {
    current_ = std::move(files_[i]);
    if (i == place.file) base::check(lseek(current_.get(), place.offset, SEEK_SET), "lseek");
    read_rest();
  }
  files_.clear();
}

void LogReader::read_rest() {
  std::string chunk(kChunk, '\0');
  for (;;) {
    const ssize_t count = read(current_.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    base::check(count, "read log");
    if (count == 0) return;
    partial_.append(chunk, 0, static_cast<std::size_t>(count));
    std::size_t start = 0;
    for (std::size_t end = 0; (end = partial_.find('\n', start)) != std::string::npos;) {
      show(std::string_view(partial_).substr(start, end - start));
      start = end + 1;
    }
    partial_.erase(0, start);
    if (partial_.size() > kMaxLine) partial_.clear();
    if (watch_ && take_changes()) find_newer_files();
  }
}

void LogReader::show(std::string_view line) {
  const auto entry = parse_log_line(line);
  if (!entry) return;
  if (options_.since != 0 && entry->time < options_.since) return;
  if (options_.until != 0 && entry->time > options_.until) {
    past_end_ = true;
    return;
  }
  if (!options_.timestamps) return sink_(entry->is_stderr, entry->text);
  sink_(entry->is_stderr, fixed_time(entry->time) + " " + entry->text);
}

bool LogReader::try_find_newer_files() {
  const int newest = !newer_.empty() ? newer_.back().get() : current_.get();
  struct stat known = {};
  if (newest >= 0) base::check(fstat(newest, &known), "fstat");
  std::vector<base::UniqueFd> found;
  struct stat first = {};
  for (int number = 0;; ++number) {
    base::UniqueFd fd = open_log(numbered(path_, number));
    if (!fd) break;
    struct stat info = {};
    base::check(fstat(fd.get(), &info), "fstat");
    if (newest >= 0 && same_file(info, known)) break;
    if (number == 0) first = info;
    found.push_back(std::move(fd));
  }
  if (found.empty()) return true;
  struct stat now = {};
  if (stat(path_.c_str(), &now) != 0 || !same_file(now, first)) return false;
  for (auto fd = found.rbegin(); fd != found.rend(); ++fd) {
    flock(fd->get(), LOCK_SH | LOCK_NB);  // see LogWriter::wait_for_followers()
    newer_.push_back(std::move(*fd));
  }
  return true;
}

void LogReader::find_newer_files() {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts && !try_find_newer_files(); ++attempt) {
  }
}

bool LogReader::take_changes() {
  constexpr std::uint32_t kNewFile = IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW;
  char events[4096];
  bool changed = false;
  for (ssize_t count = 0; (count = read(watch_.get(), events, sizeof events)) > 0;) {
    for (char* at = events; at < events + count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      changed = changed || (event->mask & kNewFile) != 0;
      at += sizeof(inotify_event) + event->len;
    }
  }
  return changed;
}

void LogReader::drain() {
  if (current_) read_rest();
  for (;;) {
    find_newer_files();
    if (newer_.empty()) return;
    if (current_) read_rest();  // what was written before it was rotated
    current_ = std::move(newer_.front());
    newer_.pop_front();
    read_rest();
  }
}

void LogReader::follow(int writer_pidfd) {
  // A slow reader holds many files that were rotated away.
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  folder_ = base::open_file(path_.parent_path(), O_RDONLY | O_DIRECTORY);
  flock(folder_.get(), LOCK_SH | LOCK_NB);
  if (current_) flock(current_.get(), LOCK_SH | LOCK_NB);
  watch_.reset(base::check(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
  inotify_add_watch(watch_.get(), path_.parent_path().c_str(),
                    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
  for (bool ended = false; !ended && !past_end_;) {
    ended = base::has_exited(writer_pidfd);  // asked first: what is read after it is complete
    drain();
    if (ended) return;
    pollfd items[2] = {{.fd = watch_.get(), .events = POLLIN, .revents = 0},
                       {.fd = writer_pidfd, .events = POLLIN, .revents = 0}};
    if (poll(items, 2, -1) < 0 && errno != EINTR) base::throw_errno("poll");
    take_changes();
  }
}

}  // namespace engine
