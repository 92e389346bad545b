// TaskPool: the same work on several things at a time; the first failure ends the others.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>

namespace engine {

// Made for one run. Thread-safe.
class TaskPool {
 public:
  // `on_failure`: wakes those that wait for something other than is_cancelled(); called without a
  // lock, once for each failure.
  explicit TaskPool(std::function<void()> on_failure = {});

  // Whether one has failed: what the others do is wasted from now on, and what they throw is not
  // told to anybody.
  bool is_cancelled() const { return cancelled_; }

  // work(0) … work(count - 1), begun in this order, at most `parallel` at a time (at least one).
  // Returns once all have ended. Throws what the first that failed has thrown; those that had not
  // begun by then are left out.
  void run(unsigned parallel, std::size_t count, const std::function<void(std::size_t)>& work);

 private:
  void work_off(std::size_t count, const std::function<void(std::size_t)>& work);
  void fail(std::exception_ptr failure);

  std::function<void()> on_failure_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace engine
