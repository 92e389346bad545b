#include "engine/log/log_file.h"

#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

constexpr std::size_t kBatch = 256U << 10U;  // bytes to one write(2)

bool is_locked(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

}  // namespace

fs::path rotated_log(const fs::path& path, int number) {
  return number == 0 ? path : fs::path(path.string() + "." + std::to_string(number));
}

fs::path compressed_log(const fs::path& path, int number) {
  return rotated_log(path, number).string() + ".gz";
}

LogFile::LogFile(fs::path path, LogFormat format, LogLimits limits, std::string attributes)
    : path_(std::move(path)),
      format_(format),
      limits_(limits),
      attributes_(std::move(attributes)),
      compressor_(path_) {}

const std::string& LogFile::render_time(base::Nanoseconds time) {
  if (time != shown_time_ || shown_time_text_.empty()) {
    shown_time_ = time;
    shown_time_text_ = base::format_rfc3339(time);
  }
  return shown_time_text_;
}

void LogFile::append_record(Stream stream, std::string_view text, base::Nanoseconds time) {
  if (format_ == LogFormat::kJson) {
    append_json_record(buffer_, text, stream, attributes_, render_time(time));
  } else {
    append_local_record(buffer_, text, stream, time);
  }
}

void LogFile::add(Stream stream, std::string_view text, base::Nanoseconds time) {
  if (!file_) open();
  const std::size_t before = buffer_.size();
  append_record(stream, text, time);
  if (size_ + buffer_.size() > limits_.max_size && size_ + before > 0) {
    const std::string line = buffer_.substr(before);
    buffer_.resize(before);
    flush();
    rotate();
    buffer_ = line;
  }
  if (buffer_.size() > kBatch) flush();
}

// What a crash cut off is taken away first.
void LogFile::open() {
  try {
    file_ = base::open_file(path_, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
    size_ = static_cast<std::uint64_t>(find_whole_length(file_.get(), format_));
    if (format_ == LogFormat::kLocal && ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
      size_ = 0;
    }
  } catch (const base::Error&) {
    file_.reset();
  }
}

void LogFile::flush() {
  if (buffer_.empty()) return;
  try {
    if (!file_) open();
    base::write_all(file_.get(), buffer_);
    size_ += buffer_.size();
  } catch (const base::Error&) {  // no space: the container goes on, its log has a gap
    ++lost_lines_;
    if (file_ && ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) file_.reset();
  }
  if (buffer_.capacity() > kBatch / 4) std::string().swap(buffer_);
  buffer_.clear();
}

// A follower holds a lock (flock(2)) on the directory, and one on each file that it has not read to
// its end yet. One that has the newest file loses none, whatever becomes of their names. Whoever
// stands still is waited for once, and then left alone for a minute.
void LogFile::wait_for_followers() {
  constexpr base::Nanoseconds kPatience = 1'000'000'000;
  constexpr base::Nanoseconds kGrudge = 60'000'000'000;
  const base::Nanoseconds start = base::now();
  if (!file_ || start < ignore_followers_) return;
  const base::UniqueFd folder(
      ::open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (folder && is_locked(folder.get()) && !is_locked(file_.get())) {
    if (base::now() - start > kPatience) {
      ignore_followers_ = base::now() + kGrudge;
      return;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 500'000};
    nanosleep(&pause, nullptr);
  }
}

void LogFile::rotate() {
  wait_for_followers();
  settle();
  shift_files();
  file_.reset();
  size_ = 0;
  if (limits_.compress) compress_next();
}

void LogFile::settle() {
  if (!compressor_.is_busy()) return;
  compressor_.settle();
  if (!compressor_.is_busy()) compress_next();
}

// Where there is one file only, a new one takes its place, not the old one made empty: who follows
// it still reads that to its end.
void LogFile::shift_files() {
  const int oldest = limits_.max_files - 1;
  unlink(rotated_log(path_, oldest).c_str());
  if (oldest > 0) unlink(compressed_log(path_, oldest).c_str());
  for (int number = oldest - 1; number >= 0; --number) {
    // ENOENT: not that many yet
    rename(rotated_log(path_, number).c_str(), rotated_log(path_, number + 1).c_str());
    if (number == 0) break;
    rename(compressed_log(path_, number).c_str(), compressed_log(path_, number + 1).c_str());
  }
  compressor_.count_rotation();
}

// The oldest that is still as it was written. Not one that somebody reads: by its inode a follower
// knows where it is.
void LogFile::compress_next() {
  if (compressor_.is_busy()) return;
  for (int number = limits_.max_files - 1; number > 0; --number) {
    base::UniqueFd file(::open(rotated_log(path_, number).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || is_locked(file.get())) continue;
    return compressor_.start(file.get(), number);
  }
}

}  // namespace engine
