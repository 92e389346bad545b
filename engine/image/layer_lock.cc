#include "engine/image/layer_lock.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"

namespace engine {
namespace {

constexpr std::chrono::microseconds kShortestLockPoll{500}, kLongestLockPoll{25'000};

}  // namespace

std::optional<base::UniqueFd> lock_unless_present(SharedStore& shared, const storage::LayerKey& key,
                                                  const std::function<bool()>& is_cancelled) {
  for (auto pause = kShortestLockPoll;; pause = std::min(2 * pause, kLongestLockPoll)) {
    bool present = false;
    auto lock = shared.with([&](storage::Store& store) {
      auto taken = store.try_lock_layer(key);
      if (taken) present = store.has_layer(key);
      return taken;
    });
    if (present) return std::nullopt;
    if (lock) return lock;
    if (is_cancelled()) throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace engine
