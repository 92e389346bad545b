#include "engine/log_writer.h"

#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>

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

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  while (!text.empty()) {
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

// Where to cut a long line so that no UTF-8 sequence is cut in two.
std::size_t cut_before(std::string_view text, std::size_t limit) {
  std::size_t cut = limit;
  while (cut > limit - 4 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80 ? limit : cut;
}

}  // namespace

std::string render_log_line(std::string_view text, Stream stream, base::Nanoseconds time) {
  std::string line = R"({"log":")";
  append_escaped(line, text);
  line += stream == Stream::kStdout ? R"(","stream":"stdout","time":")"
                                    : R"(","stream":"stderr","time":")";
  line += base::format_rfc3339(time);
  line += "\"}\n";
  return line;
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
  std::string line = render_log_line(text, stream, time);
  if (size_ + buffer_.size() + line.size() > limits_.max_size && size_ + buffer_.size() > 0) {
    flush();
    rotate();
  }
  buffer_ += line;
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

void LogWriter::rotate() {
  const auto numbered = [&](int number) { return path_.string() + "." + std::to_string(number); };
  if (limits_.max_files <= 1) {
    if (file_ && ftruncate(file_.get(), 0) != 0) ++lost_lines_;
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
