// PullDisplay: the progress of a pull: bars that redraw themselves on a terminal, plain lines
// elsewhere, nothing when quiet.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"

namespace cli {

enum class PullOutput { kQuiet, kStdout, kStderr };  // `run` keeps stdout for the container

class PullDisplay {
 public:
  PullDisplay(PullOutput output, std::string reference);
  ~PullDisplay();

  void show(const engine::PullProgress& progress);
  // docker's last lines: digest and status.
  void finish(const engine::PullSummary& summary);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cli
