// Progress: events of layers that are fetched on several threads, one at a time and not too many.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "engine/image/puller.h"
#include "oci/manifest.h"

namespace engine {

// Thread-safe.
class Progress {
 public:
  explicit Progress(const std::function<void(const PullEvent&)>& on_event) : on_event_(on_event) {}
  void send(const PullEvent& event);

 private:
  std::mutex mutex_;
  const std::function<void(const PullEvent&)>& on_event_;
};

// Of one layer, on one thread.
class LayerProgress {
 public:
  LayerProgress(Progress& progress, const oci::Descriptor& blob);

  void received(std::uint64_t current);  // an event at most each 50 ms
  void send(PullEvent::Kind kind, const std::string& text = {});

 private:
  Progress& progress_;
  std::string layer_;
  std::uint64_t current_ = 0, total_;
  std::chrono::steady_clock::time_point sent_;
};

}  // namespace engine
