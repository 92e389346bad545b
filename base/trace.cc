#include "base/trace.h"

#include <ctime>
#include <utility>

namespace base {
namespace {

std::function<void(const TraceEvent&)>& sink() {
  static std::function<void(const TraceEvent&)> instance;
  return instance;
}

Nanoseconds monotonic_now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Nanoseconds>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void set_trace_sink(std::function<void(const TraceEvent&)> new_sink) {
  sink() = std::move(new_sink);
}

bool is_tracing() { return static_cast<bool>(sink()); }

void trace(std::string_view room, std::string_view text) {
  if (is_tracing()) sink()({.room = room, .text = text});
}

void emit_trace(const TraceEvent& event) {
  if (is_tracing()) sink()(event);
}

TraceStep::TraceStep(std::string_view room, std::string text)
    : room_(room), text_(is_tracing() ? std::move(text) : std::string()) {
  if (is_tracing()) started_ = monotonic_now();
}

TraceStep::~TraceStep() {
  if (started_ == 0) return;
  try {
    sink()({.room = room_, .text = text_, .duration = monotonic_now() - started_});
  } catch (...) {  // a trace that can't be written must not end the command
  }
}

}  // namespace base
