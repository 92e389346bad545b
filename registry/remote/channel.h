// Channel: typed frames both ways over a stream socket, between two processes that do not trust
// each other's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace registry {

enum class FrameType : std::uint32_t {
  kRequest = 1,   // what is wanted: the first frame of a call
  kData = 2,      // bytes of a blob
  kRestart = 3,   // the blob comes again from its first byte
  kTrace = 4,     // a decision, for --debug
  kResult = 5,    // the call's last frame where it succeeded
  kError = 6,     // and where it did not
  kQuestion = 7,  // whose credentials are wanted
  kAnswer = 8,    // what is known of them
  kProgress = 9,  // how many bytes of a blob have gone up
};

// What the other process has sent makes no sense.
[[noreturn]] void throw_malformed();

// A frame is its type and its size, four bytes each, then so many bytes. Any function throws
// kUnavailable where the other end is gone, kCorrupt where it sends what is no frame.
class Channel {
 public:
  static constexpr std::size_t kMaxFrameBytes = 16U << 20U;

  explicit Channel(base::UniqueFd fd) : fd_(std::move(fd)) {}

  void send(FrameType type, std::string_view payload);

  struct Header {
    FrameType type = FrameType::kError;
    std::size_t size = 0;
  };
  Header receive_header();
  // False where the other end closed the channel instead of beginning another frame.
  bool find_header(Header& header);
  std::string receive_payload(std::size_t size);
  // What has come of the payload, at least one byte, at most the buffer.
  std::size_t receive_some(std::span<char> buffer);

  int fd() const { return fd_.get(); }

 private:
  base::UniqueFd fd_;
};

// Values of a payload, one after the other.
class FieldWriter {
 public:
  FieldWriter& number(std::uint64_t value);
  FieldWriter& text(std::string_view value);
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// The same in the same order; throws kCorrupt where something else is there.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number();
  std::string text();
  void finish() const;  // nothing may be left

 private:
  std::string_view take(std::size_t size);
  std::string_view rest_;
};

}  // namespace registry
