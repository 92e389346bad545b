// Attach protocol: frames between a container's monitor and the commands that talk to it.
//
// A frame is one byte of type, four bytes of length (little-endian), and so many bytes. Whoever
// connects to <state>/<id>/attach.sock says kHello first; the command that starts a container has
// the other end of the monitor's control socket and says kJob first, with the container's lock as
// an ancillary descriptor (SCM_RIGHTS). Frames of unknown types are skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/trace.h"

namespace engine {

enum class FrameType : std::uint8_t {
  // To the monitor.
  kHello = 1,        // one byte: bits of HelloFlags
  kJob = 2,          // one byte of JobFlags, one of HelloFlags, the container's id
  kStdin = 3,        // bytes for the container's standard input, within the window
  kStdinClosed = 4,  // no more of them
  kResize = 5,       // height and width, two bytes each
  kSignal = 6,       // one byte: for the container's first process
  kPause = 7,        // answered by kDone or kError
  kUnpause = 8,
  kKeepTerminal = 9,  // with a descriptor: the master of an exec whose command leaves it
  kHold = 10,         // as kPause, until this connection ends, however it does
  kStop = 11,         // one byte, a signal for the first process: it is to end and to stay so
  kNetwork = 20,      // render_network_change(); answered by kDone or kError
  // From the monitor.
  kStarted = 32,  // the program executes and the row says so
  kStdout = 33,
  kStderr = 34,
  kExit = 35,   // four bytes: the exit code; the row is up to date (or gone, with --rm)
  kError = 36,  // one byte of ErrorKind, four of errno, the text
  kTrace = 37,  // eight bytes of duration, one of the room's length, the room, the text
  kDone = 38,
  kStdinTaken = 39,  // four bytes: so much of the window is free again
};

// A client has at most so many bytes of standard input on the way that the container has not taken:
// a signal or a new window size never waits behind them.
constexpr std::size_t kStdinWindow = 256U << 10U;

enum HelloFlags : std::uint8_t {
  kHelloStdin = 1,
  kHelloStdout = 2,
  kHelloStderr = 4,
};  // none: only the exit code is of interest

enum JobFlags : std::uint8_t {
  kJobAttached = 1,  // the starter stays as the first client
  kJobTrace = 2,     // and wants kTrace
};

constexpr std::size_t kFrameHeader = 5;
constexpr std::size_t kMaxFrame = 1U << 20U;

std::string render_frame(FrameType type, std::string_view payload);
std::string render_number(std::uint64_t value, int bytes);  // little-endian
std::uint64_t parse_number(std::string_view bytes);

std::string render_error(const base::Error& error);  // payload of kError
base::Error parse_error(std::string_view payload);
std::string render_trace(const base::TraceEvent& event);  // payload of kTrace
void pass_on_trace(std::string_view payload);             // to this process's sink

// Collects bytes and gives whole frames. Throws kCorrupt for a frame above kMaxFrame.
class FrameReader {
 public:
  void add(std::string_view bytes) { buffer_ += bytes; }
  struct Frame {
    FrameType type;
    std::string_view payload;  // until the next call
  };
  bool next(Frame& frame);

 private:
  std::string buffer_;
  std::size_t taken_ = 0;
};

}  // namespace engine
