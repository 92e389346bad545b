#include "engine/image/progress.h"

namespace engine {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(50);
constexpr std::size_t kShownDigits = 12;

}  // namespace

void Progress::send(const PullEvent& event) {
  const std::lock_guard lock(mutex_);
  if (on_event_) on_event_(event);
}

LayerProgress::LayerProgress(Progress& progress, const oci::Descriptor& blob)
    : progress_(progress), layer_(blob.digest.hex().substr(0, kShownDigits)), total_(blob.size) {}

void LayerProgress::received(std::uint64_t current) {
  current_ = current;
  const auto now = std::chrono::steady_clock::now();
  if (now - sent_ < kInterval && current < total_) return;
  sent_ = now;
  send(PullEvent::Kind::kDownloading);
}

void LayerProgress::send(PullEvent::Kind kind, const std::string& text) {
  progress_.send(
      {.kind = kind, .layer = layer_, .current = current_, .total = total_, .text = text});
}

}  // namespace engine
