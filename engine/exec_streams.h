// ExecStreams: pipes or a terminal between this command and a further process in a container.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "engine/engine.h"
#include "engine/signal_watch.h"
#include "engine/terminal.h"
#include "runtime/container.h"

namespace engine {

// Our descriptors are never lent to a container: what it could reopen or do to our terminal stays
// behind pipes.
class ExecStreams {
 public:
  explicit ExecStreams(const ExecRequest& request);

  runtime::Stdio theirs() const;  // for runtime::exec
  void close_theirs();

  // Carries bytes until the process has ended and its output is read; nullopt after the detach
  // keys.
  std::optional<int> run(runtime::Executed& process);
  // After the detach keys: the terminal's master, for somebody who stays.
  base::UniqueFd take_terminal() { return std::move(out_.read); }

 private:
  struct Pipe {
    base::UniqueFd read, write;
  };
  bool copy_output(base::UniqueFd& from, int to);  // false: nothing more for now
  bool carry(const runtime::Executed& process, SignalWatch& signals);
  void read_stdin();
  void flush_stdin();
  void take_signals(SignalWatch& signals);
  void drain_output();

  const ExecRequest& request_;
  Pipe in_, out_, err_;
  std::string typed_;  // not yet taken by the process
  DetachWatch detach_;
  std::optional<RawTerminal> terminal_;
  bool reading_;
  bool detached_ = false;
};

}  // namespace engine
