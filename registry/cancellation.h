// Cancellation: one flag that ends every transfer and every pause of a client.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace registry {

class Cancellation {
 public:
  void cancel() noexcept;
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  void throw_if_cancelled() const;
  // Throws when cancelled meanwhile.
  void pause(std::chrono::milliseconds duration);

 private:
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace registry
