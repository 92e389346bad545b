// docker's json-file records.
#include <array>

#include <nlohmann/json.hpp>

#include "engine/log/log_format.h"

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

constexpr bool is_plain(unsigned char c) { return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\'; }

constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < table.size(); ++c) table[c] = is_plain(static_cast<unsigned char>(c));
  return table;
}();

// How much of it, from its start, is written as it is.
std::size_t plain_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && kPlain[static_cast<unsigned char>(text[length])]) ++length;
  return length;
}

void append_control(std::string& out, char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  if (c == '"' || c == '\\') {
    out += '\\';
    out += c;
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else {
    out += "\\u00";
    out += kDigits[static_cast<unsigned char>(c) >> 4U];
    out += kDigits[static_cast<unsigned char>(c) & 15U];
  }
}

// What follows `word` at the start of `text`, which is then taken off; false where it is not there.
bool skip(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// A JSON string's inside up to its closing quote, as append_json_text() writes it. False for
// anything else: that is left to a whole parser.
bool take_text(std::string_view& line, std::string& out) {
  out.clear();
  for (;;) {
    std::size_t length = 0;
    while (length < line.size() && line[length] != '"' && line[length] != '\\') ++length;
    out.append(line, 0, length);
    if (length + 1 >= line.size()) return false;
    const char mark = line[length];
    const char next = line[length + 1];
    line.remove_prefix(length + 1);
    if (mark == '"') return true;
    line.remove_prefix(1);
    if (next == 'n') {
      out += '\n';
    } else if (next == 't') {
      out += '\t';
    } else if (next == 'r') {
      out += '\r';
    } else if (next == '"' || next == '\\') {
      out += next;
    } else {
      return false;
    }
  }
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out.append(text, 0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;
    const char c = text[0];
    const std::size_t size = utf8_length(text);
    if (size == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
      append_control(out, c);
    } else {
      out.append(text, 0, size);
    }
    text.remove_prefix(size);
  }
}

void append_json_record(std::string& out, std::string_view text, Stream stream,
                        std::string_view attributes, std::string_view time) {
  out += R"({"log":")";
  append_json_text(out, text);
  out += stream == Stream::kStdout ? R"(","stream":"stdout",)" : R"(","stream":"stderr",)";
  if (!attributes.empty()) {
    out += R"("attrs":)";
    out += attributes;
    out += ',';
  }
  out += R"("time":")";
  out += time;
  out += "\"}\n";
}

std::string render_log_line(std::string_view text, Stream stream, base::Nanoseconds time) {
  std::string line;
  append_json_record(line, text, stream, {}, base::format_rfc3339(time));
  return line;
}

base::Nanoseconds LogDecoder::parse_time(std::string_view text) {
  if (text != last_time_) {
    last_time_value_ = base::parse_rfc3339(text);
    last_time_ = text;
  }
  return last_time_value_;
}

// Nearly all lines are as append_json_record() makes them and are read here; others take the whole
// parser ten times as long.
bool LogDecoder::take_plain(std::string_view line, LogEntry& entry) {
  if (!skip(line, R"({"log":")") || !take_text(line, entry.text)) return false;
  entry.is_stderr = line.starts_with(R"(,"stream":"stderr",)");
  if (!skip(line, R"(,"stream":"stdout",)") && !skip(line, R"(,"stream":"stderr",)")) return false;
  if (line.starts_with(R"("attrs":{)")) {
    const std::size_t end = line.find(R"(},"time":")");  // within strings, quotes are escaped
    if (end == std::string_view::npos) return false;
    line.remove_prefix(end + 2);
  }
  if (!skip(line, R"("time":")") || !line.ends_with("\"}")) return false;
  line.remove_suffix(2);
  entry.time = parse_time(line);
  return true;
}

bool LogDecoder::decode_json(std::string_view line, LogEntry& entry) {
  try {
    if (take_plain(line, entry)) return true;
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return false;
    entry.text = json.at("log").get<std::string>();
    entry.is_stderr = json.at("stream").get<std::string>() == "stderr";
    entry.time = parse_time(json.at("time").get<std::string>());
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

std::size_t LogDecoder::take_json(std::string_view bytes, LogEntry& entry, bool& valid) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return 0;
  valid = decode_json(bytes.substr(0, end), entry);
  return end + 1;
}

std::optional<LogEntry> parse_log_line(std::string_view line) {
  LogEntry entry;
  bool valid = false;
  LogDecoder(LogFormat::kJson).take(std::string(line) + "\n", entry, valid);
  return valid ? std::optional(entry) : std::nullopt;
}

}  // namespace engine
