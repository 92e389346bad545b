// EventWriter: what happens in a pull as lines of JSON for the process that started us.
#pragma once

#include <mutex>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "base/trace.h"
#include "base/unique_fd.h"
#include "engine/image/puller.h"
#include "engine/image/pusher.h"

namespace cli {

// The protocol is in engine/image/README.md. Thread-safe. Once nobody reads the process ends at
// once: what it leaves is what a kill leaves, and the next sweep's.
class EventWriter {
 public:
  explicit EventWriter(int fd) : fd_(fd) {}

  void send(const engine::PullEvent& event);
  void send(const base::TraceEvent& event);
  void send(const engine::PullResult& result);
  void send(const engine::PushEvent& event);
  void send_event(nlohmann::ordered_json fields);   // of a command that is not a pull
  void send_result(nlohmann::ordered_json fields);  // of a command that is not a pull
  void send(const base::Error& error);

 private:
  void write(const std::string& line);

  int fd_;
  std::mutex mutex_;
};

}  // namespace cli
