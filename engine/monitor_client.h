// MonitorClient: one command that is connected to a monitor, seen from the monitor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "engine/attach_protocol.h"

namespace engine {

// Never blocks: what the socket does not take at once is kept, and its owner stops reading the
// container's output while there is too much of it. A client that died is closed and forgotten.
class MonitorClient {
 public:
  static constexpr std::size_t kMuch = 256U << 10U;

  explicit MonitorClient(base::UniqueFd socket);

  int fd() const { return socket_.get(); }
  bool is_open() const { return static_cast<bool>(socket_); }
  bool wants(std::uint8_t flag) const { return (flags_ & flag) != 0; }
  void set_flags(std::uint8_t flags) { flags_ = flags; }
  bool has_pending() const { return sent_ < outgoing_.size(); }
  bool is_behind() const { return outgoing_.size() - sent_ > kMuch; }

  void send(FrameType type, std::string_view payload);  // nothing to one that is leaving
  void flush();                                         // as much as the socket takes
  void flush_blocking();                                // all, however long it takes
  void receive();  // reads what is there into the frame reader; closes at the end
  bool next(FrameReader::Frame& frame) { return reader_.next(frame); }
  // What came with the frame that next() gave; empty where nothing did.
  base::UniqueFd take_descriptor() { return std::move(passed_); }
  void close_when_flushed();  // it gets what it was sent, and nothing more
  void close();

 private:
  base::UniqueFd socket_, passed_;
  FrameReader reader_;
  std::string outgoing_;
  std::size_t sent_ = 0;
  std::uint8_t flags_ = 0;
  bool leaving_ = false;
};

}  // namespace engine
