#include "engine/log_writer.h"

#include <cerrno>
#include <charconv>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

// Bytes of the UTF-8 sequence that starts here; 0 where it is malformed (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  std::size_t size = 0;
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) size = 2;
  if (first >= 0xE0 && first <= 0xEF) size = 3;
  if (first >= 0xF0 && first <= 0xF4) size = 4;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return size;
}

// How much of it, from its start, is written as it is.
std::size_t plain_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size()) {
    const auto c = static_cast<unsigned char>(text[length]);
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') break;
    ++length;
  }
  return length;
}

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;
    const char c = text[0];
    const std::size_t size = utf8_length(text);
    if (size == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kDigits[static_cast<unsigned char>(c) >> 4U];
      out += kDigits[static_cast<unsigned char>(c) & 15U];
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
}

void append_line(std::string& line, std::string_view text, Stream stream, std::string_view time) {
  line += R"({"log":")";
  append_escaped(line, text);
  line += stream == Stream::kStdout ? R"(","stream":"stdout","time":")"
                                    : R"(","stream":"stderr","time":")";
  line += time;
  line += "\"}\n";
}

// Where to cut a long line so that no UTF-8 sequence is cut in two.
std::size_t cut_before(std::string_view text, std::size_t limit) {
  std::size_t cut = limit;
  while (cut > limit - 4 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80 ? limit : cut;
}

}  // namespace

std::string render_log_line(std::string_view text, Stream stream, base::Nanoseconds time) {
  std::string line;
  append_line(line, text, stream, base::format_rfc3339(time));
  return line;
}

const std::string& LogWriter::render_time(base::Nanoseconds time) {
  if (time != shown_time_ || shown_time_text_.empty()) {
    shown_time_ = time;
    shown_time_text_ = base::format_rfc3339(time);
  }
  return shown_time_text_;
}

LogWriter::LogWriter(fs::path path, LogLimits limits) : path_(std::move(path)), limits_(limits) {}

void LogWriter::write(Stream stream, std::string_view bytes, base::Nanoseconds time) {
  if (path_.empty()) return;
  std::string& pending = pending_[stream == Stream::kStdout ? 0 : 1];
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::size_t take = newline == std::string_view::npos ? bytes.size() : newline + 1;
    pending += bytes.substr(0, take);
    bytes.remove_prefix(take);
    while (pending.size() > kMaxLine) {
      const std::size_t cut = cut_before(pending, kMaxLine);
      add_line(stream, std::string_view(pending).substr(0, cut), time);
      pending.erase(0, cut);
    }
    if (newline != std::string_view::npos && !pending.empty()) {
      add_line(stream, pending, time);
      pending.clear();
    }
  }
  flush();
}

void LogWriter::finish(base::Nanoseconds time) {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    std::string& pending = pending_[stream == Stream::kStdout ? 0 : 1];
    if (!pending.empty()) add_line(stream, pending, time);
    pending.clear();
  }
  flush();
}

void LogWriter::add_line(Stream stream, std::string_view text, base::Nanoseconds time) {
  const std::size_t before = buffer_.size();
  append_line(buffer_, text, stream, render_time(time));
  if (size_ + buffer_.size() > limits_.max_size && size_ + before > 0) {
    const std::string line = buffer_.substr(before);
    buffer_.resize(before);
    flush();
    rotate();
    buffer_ = line;
  }
  if (buffer_.size() > 4 * kMaxLine) flush();
}

void LogWriter::flush() {
  if (buffer_.empty()) return;
  try {
    if (!file_) {
      file_ = base::open_file(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
      struct stat info = {};
      base::check(fstat(file_.get(), &info), path_.string());
      size_ = static_cast<std::uint64_t>(info.st_size);
    }
    base::write_all(file_.get(), buffer_);
    size_ += buffer_.size();
  } catch (const base::Error&) {  // no space: the container goes on, its log has a gap
    ++lost_lines_;
  }
  buffer_.clear();
}

// A follower holds a lock (flock(2)) on the directory, and one on each file that it has not read to
// its end yet. One that has the newest file loses none, whatever becomes of their names. Whoever
// stands still is waited for once, and then left alone for a minute.
void LogWriter::wait_for_followers() {
  constexpr base::Nanoseconds kPatience = 1'000'000'000;
  constexpr base::Nanoseconds kGrudge = 60'000'000'000;
  const base::Nanoseconds start = base::now();
  if (!file_ || start < ignore_followers_) return;
  const base::UniqueFd folder(
      open(path_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto is_locked = [](int fd) {
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK;
    flock(fd, LOCK_UN);
    return false;
  };
  while (folder && is_locked(folder.get()) && !is_locked(file_.get())) {
    if (base::now() - start > kPatience) {
      ignore_followers_ = base::now() + kGrudge;
      return;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 500'000};
    nanosleep(&pause, nullptr);
  }
}

void LogWriter::rotate() {
  wait_for_followers();
  const auto numbered = [&](int number) { return path_.string() + "." + std::to_string(number); };
  if (limits_.max_files <= 1) {
    // A new file, not the old one made empty: who follows it still reads that to its end.
    unlink(path_.c_str());
    file_.reset();
    size_ = 0;
    return;
  }
  for (int number = limits_.max_files - 2; number >= 1; --number) {
    rename(numbered(number).c_str(), numbered(number + 1).c_str());  // ENOENT: not that many yet
  }
  rename(path_.c_str(), numbered(1).c_str());
  file_.reset();
  size_ = 0;
}

LogLimits parse_log_limits(std::string_view max_size, std::string_view max_file) {
  LogLimits limits;
  if (!max_size.empty()) {
    const std::int64_t size = max_size == "-1" ? INT64_MAX : base::parse_size_binary(max_size);
    if (size <= 0) {
      throw base::Error(base::ErrorKind::kInvalid, "max-size must be a positive number");
    }
    limits.max_size = static_cast<std::uint64_t>(size);
    if (max_file.empty()) limits.max_files = 1;  // docker's: one file unless told
  }
  if (!max_file.empty()) {
    const auto [end, error] =
        std::from_chars(max_file.data(), max_file.data() + max_file.size(), limits.max_files);
    if (error != std::errc() || end != max_file.data() + max_file.size() || limits.max_files < 1) {
      throw base::Error(base::ErrorKind::kInvalid, "max-file cannot be less than 1");
    }
  }
  return limits;
}

}  // namespace engine
