#include "registry/cancellation.h"

#include "base/error.h"

namespace registry {

void Cancellation::cancel() noexcept {
  {
    const std::lock_guard lock(mutex_);  // else a pause that has just looked would sleep on
    cancelled_ = true;
  }
  changed_.notify_all();
}

void Cancellation::throw_if_cancelled() const {
  if (is_cancelled()) throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
}

void Cancellation::pause(std::chrono::milliseconds duration) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, duration, [this] { return is_cancelled(); });
  throw_if_cancelled();
}

}  // namespace registry
