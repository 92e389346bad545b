#include "engine/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
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

bool LogReader::open_next() {
  struct stat newest = {};
  const bool there = stat(path_.c_str(), &newest) == 0;
  if (!current_) {
    if (there) current_ = open_log(path_);
    return static_cast<bool>(current_);
  }
  struct stat ours = {};
  base::check(fstat(current_.get(), &ours), "fstat");
  if (!there || same_file(ours, newest)) return false;
  for (int number = 1;; ++number) {
    struct stat older = {};
    if (stat(numbered(path_, number).c_str(), &older) != 0) break;
    if (!same_file(ours, older)) continue;
    read_rest();  // what was written before the rename
    current_ = open_log(numbered(path_, number - 1));
    return static_cast<bool>(current_);
  }
  current_ = open_log(path_);  // ours was rotated out of existence meanwhile
  return static_cast<bool>(current_);
}

void LogReader::drain() {
  if (current_) read_rest();
  while (open_next()) read_rest();
}

void LogReader::follow(int writer_pidfd) {
  const base::UniqueFd watch(base::check(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
  inotify_add_watch(watch.get(), path_.parent_path().c_str(),
                    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
  for (bool ended = false; !ended && !past_end_;) {
    ended = base::has_exited(writer_pidfd);  // asked first: what is read after it is complete
    drain();
    if (ended) return;
    pollfd items[2] = {{.fd = watch.get(), .events = POLLIN, .revents = 0},
                       {.fd = writer_pidfd, .events = POLLIN, .revents = 0}};
    if (poll(items, 2, -1) < 0 && errno != EINTR) base::throw_errno("poll");
    char events[4096];
    while (read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

}  // namespace engine
