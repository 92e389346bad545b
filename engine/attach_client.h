// AttachClient: this command's terminal or pipes on a running container's streams.
#pragma once

#include <optional>
#include <string>

#include "engine/monitor_link.h"
#include "engine/signal_watch.h"
#include "engine/terminal.h"

namespace engine {

struct AttachClientOptions {
  bool tty = false;             // the container has a terminal
  bool stdin_open = false;      // ours is its standard input
  bool forward_signals = true;  // not with a terminal: there they are keys
  std::string detach_keys;
};

// One thread, one poll. From its construction on signals wait for run(), so that none is lost while
// the container starts.
class AttachClient {
 public:
  explicit AttachClient(AttachClientOptions options);

  // The container's exit code; nullopt after the detach keys. 137 where the monitor was killed,
  // which kills the container with the next command.
  std::optional<int> run(MonitorLink& link);

 private:
  enum class Outcome { kGoOn, kDetached, kEnded };
  Outcome take_frames(MonitorLink& link);
  Outcome take_stdin(MonitorLink& link);
  void take_signals(MonitorLink& link);
  void send_size(MonitorLink& link);

  AttachClientOptions options_;
  DetachWatch detach_;
  SignalWatch signals_;
  std::optional<RawTerminal> terminal_;
  std::size_t window_ = kStdinWindow;
  bool stdin_open_;
  int exit_code_ = 0;
};

}  // namespace engine
