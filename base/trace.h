// Trace: what a command decides and how long each step takes; silent unless the command line asked.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace base {

struct TraceEvent {
  std::string_view room;      // "storage", "network", "runtime", "engine", "registry"
  std::string_view text;      // one line: the step or the decision with its reason
  Nanoseconds duration = -1;  // -1: a decision, not a timed step
};

// Set once by main before any thread starts. Threads may call trace() at the same time.
void set_trace_sink(std::function<void(const TraceEvent&)> sink);
bool is_tracing();
void trace(std::string_view room, std::string_view text);
// Passes on an event that another process timed.
void emit_trace(const TraceEvent& event);

// Times its scope: { TraceStep step("runtime", "mount overlay"); … }. Costs nothing when nobody
// listens.
class TraceStep {
 public:
  TraceStep(std::string_view room, std::string text);
  TraceStep(const TraceStep&) = delete;
  TraceStep& operator=(const TraceStep&) = delete;
  ~TraceStep();

 private:
  std::string_view room_;
  std::string text_;
  Nanoseconds started_ = 0;
};

}  // namespace base
