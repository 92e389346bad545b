#include "engine/log/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/gzip.h"
#include "base/process.h"
#include "engine/log/log_file.h"

namespace engine {
namespace {

constexpr std::size_t kChunk = 256U << 10U;
constexpr std::size_t kMaxRecord = 2U << 20U;  // far above what LogWriter writes
constexpr int kAttempts = 100;

base::UniqueFd open_log(const fs::path& path) {
  return base::UniqueFd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void discard_changes(int watch) {
  char events[4096];
  while (read(watch, events, sizeof events) > 0) {
  }
}

// Its content in a file of its own; empty for one that is damaged.
base::UniqueFd inflate(int compressed) {
  base::UniqueFd plain(base::check(memfd_create("log", MFD_CLOEXEC), "memfd_create"));
  try {
    base::inflate_gzip(compressed, plain.get());
  } catch (const base::Error&) {
    base::check(ftruncate(plain.get(), 0), "ftruncate");
  }
  base::check(lseek(plain.get(), 0, SEEK_SET), "lseek");
  return plain;
}

}  // namespace

LogReader::LogReader(fs::path path, LogFormat format, const LogOptions& options, LogSink sink)
    : path_(std::move(path)),
      options_(options),
      format_(format),
      decoder_(format),
      view_(options, std::move(sink)) {}

bool LogReader::try_open_files() {
  files_.clear();
  bool was_there = false;
  for (int number = 0;; ++number) {
    base::UniqueFd fd = open_log(rotated_log(path_, number));
    if (number == 0) was_there = static_cast<bool>(fd);
    const bool is_compressed = !fd && number > 0;
    if (is_compressed) fd = open_log(compressed_log(path_, number));
    if (fd) {
      files_.push_back({.fd = std::move(fd), .is_compressed = is_compressed});
    } else if (number > 0) {
      break;
    }
  }
  std::reverse(files_.begin(), files_.end());
  struct stat now = {};
  const bool is_there = stat(path_.c_str(), &now) == 0;
  if (!was_there || !is_there) return was_there == is_there;
  struct stat newest = {};
  base::check(fstat(files_.back().fd.get(), &newest), "fstat");
  return same_file(newest, now);
}

void LogReader::open_files() {
  for (int attempt = 0; attempt < kAttempts && !try_open_files(); ++attempt) {
  }
}

LogReader::Place LogReader::find_tail() {
  if (options_.tail < 0 || files_.empty()) return {};
  std::int64_t wanted = options_.tail;
  for (std::size_t i = files_.size(); i-- > 0;) {
    File& file = files_[i];
    if (wanted > 0 && file.is_compressed) {
      file = {.fd = inflate(file.fd.get()), .is_compressed = false};
    }
    if (wanted == 0) return {i, find_whole_length(file.fd.get(), format_)};
    const off_t offset = find_tail_offset(file.fd.get(), format_, wanted);
    if (wanted == 0) return {i, offset};
  }
  return {};
}

void LogReader::read_existing() {
  open_files();
  if (trail_) trail_->start(files_.empty() ? -1 : files_.back().fd.get());
  const Place place = find_tail();
  for (std::size_t i = place.file; i < files_.size(); ++i) {
    File& file = files_[i];
    go_on_with(file.is_compressed ? inflate(file.fd.get()) : std::move(file.fd));
    file.fd.reset();
    if (i == place.file) base::check(lseek(current_.get(), place.offset, SEEK_SET), "lseek");
    read_rest();
  }
  files_.clear();
  view_.flush();
}

// No record goes over from one file into the next.
void LogReader::go_on_with(base::UniqueFd file) {
  current_ = std::move(file);
  partial_.clear();
}

void LogReader::read_rest() {
  std::size_t kept = partial_.size();
  for (;;) {
    partial_.resize(kept + kChunk);
    const ssize_t count = read(current_.get(), partial_.data() + kept, kChunk);
    if (count < 0 && errno == EINTR) continue;
    base::check(count, "read log");
    partial_.resize(kept + static_cast<std::size_t>(count));
    if (count == 0) return;
    take_records();
    kept = partial_.size();
  }
}

void LogReader::take_records() {
  std::string_view rest = partial_;
  for (;;) {
    bool valid = false;
    const std::size_t length = decoder_.take(rest, entry_, valid);
    if (length == 0) break;
    if (valid) view_.show(entry_);
    rest.remove_prefix(length);
  }
  view_.flush();
  partial_.erase(0, partial_.size() - rest.size());
  if (partial_.size() > kMaxRecord) partial_.clear();
}

void LogReader::drain() {
  if (current_) read_rest();
  for (;;) {
    LogTrail::Next next = trail_->take_next();
    if (!next.file) return;
    if (current_) read_rest();  // what was written before it was rotated
    if (next.lost_bytes > 0) view_.show_gap(next.lost_bytes);
    go_on_with(std::move(next.file));
    read_rest();
  }
}

void LogReader::follow(int writer_pidfd) {
  const base::UniqueFd watch(base::check(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
  inotify_add_watch(watch.get(), path_.parent_path().c_str(),
                    IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
  trail_.emplace(path_, LogTrail::Limits{});  // what is rotated away while we read is ours, too
  read_existing();
  for (bool ended = false; !ended && !view_.is_past_end();) {
    ended = base::has_exited(writer_pidfd);  // asked first: what is read after it is complete
    drain();
    if (ended) return;
    pollfd items[2] = {{.fd = watch.get(), .events = POLLIN, .revents = 0},
                       {.fd = writer_pidfd, .events = POLLIN, .revents = 0}};
    if (poll(items, 2, -1) < 0 && errno != EINTR) base::throw_errno("poll");
    discard_changes(watch.get());
  }
}

}  // namespace engine
