#include "engine/attach_protocol.h"

namespace engine {

std::string render_number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value >>= 8U) text.push_back(static_cast<char>(value & 0xFFU));
  return text;
}

std::uint64_t parse_number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = (value << 8U) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string render_frame(FrameType type, std::string_view payload) {
  std::string frame(1, static_cast<char>(type));
  frame += render_number(payload.size(), 4);
  frame += payload;
  return frame;
}

std::string render_error(const base::Error& error) {
  std::string payload(1, static_cast<char>(error.kind()));
  payload += render_number(static_cast<std::uint64_t>(error.errno_value()), 4);
  return payload + error.what();
}

base::Error parse_error(std::string_view payload) {
  if (payload.size() < 5) return {base::ErrorKind::kSystem, "the monitor sent a broken error"};
  return {static_cast<base::ErrorKind>(payload[0]), std::string(payload.substr(5)),
          static_cast<int>(parse_number(payload.substr(1, 4)))};
}

std::string render_trace(const base::TraceEvent& event) {
  std::string payload = render_number(static_cast<std::uint64_t>(event.duration), 8);
  const std::string_view room = event.room.substr(0, 255);
  payload += static_cast<char>(room.size());
  payload += room;
  payload += event.text;
  return payload;
}

void pass_on_trace(std::string_view payload) {
  if (payload.size() < 9) return;
  const std::size_t room = static_cast<unsigned char>(payload[8]);
  if (payload.size() < 9 + room) return;
  base::emit_trace(
      {.room = payload.substr(9, room),
       .text = payload.substr(9 + room),
       .duration = static_cast<base::Nanoseconds>(parse_number(payload.substr(0, 8)))});
}

bool FrameReader::next(Frame& frame) {
  const std::string_view rest = std::string_view(buffer_).substr(taken_);
  const bool header = rest.size() >= kFrameHeader;
  const std::size_t size = header ? parse_number(rest.substr(1, 4)) : 0;
  if (size > kMaxFrame) throw base::Error(base::ErrorKind::kCorrupt, "attach: oversized frame");
  if (!header || rest.size() < kFrameHeader + size) {
    buffer_.erase(0, taken_);
    taken_ = 0;
    return false;
  }
  frame = {static_cast<FrameType>(rest[0]), rest.substr(kFrameHeader, size)};
  taken_ += kFrameHeader + size;
  return true;
}

}  // namespace engine
