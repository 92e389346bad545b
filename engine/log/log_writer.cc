#include "engine/log/log_writer.h"

namespace engine {
namespace {

// Where to cut a long line so that no UTF-8 sequence is cut in two.
std::size_t cut_before(std::string_view text, std::size_t limit) {
  std::size_t cut = limit;
  while (cut > limit - 4 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80 ? limit : cut;
}

}  // namespace

// What is left of `text` once it is short enough.
std::string_view LogWriter::cut_long_lines(Stream stream, std::string_view text,
                                           base::Nanoseconds time) {
  while (text.size() > kMaxLine) {
    const std::size_t cut = cut_before(text, kMaxLine);
    target_->add(stream, text.substr(0, cut), time);
    text.remove_prefix(cut);
  }
  return text;
}

void LogWriter::write(Stream stream, std::string_view bytes, base::Nanoseconds time) {
  if (!target_) return;
  std::string& pending = pending_[stream == Stream::kStdout ? 0 : 1];
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const bool ends = newline != std::string_view::npos;
    std::string_view piece = bytes.substr(0, ends ? newline + 1 : bytes.size());
    bytes.remove_prefix(piece.size());
    if (!pending.empty()) piece = pending += piece;
    const std::string_view rest = cut_long_lines(stream, piece, time);
    if (ends) {
      if (!rest.empty()) target_->add(stream, rest, time);
      pending.clear();
    } else {
      pending = std::string(rest);
    }
  }
  target_->flush();
}

void LogWriter::finish(base::Nanoseconds time) {
  if (!target_) return;
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    std::string& pending = pending_[stream == Stream::kStdout ? 0 : 1];
    if (!pending.empty()) target_->add(stream, pending, time);
    pending.clear();
  }
  target_->flush();
}

void LogWriter::settle() {
  if (target_) target_->settle();
}

}  // namespace engine
