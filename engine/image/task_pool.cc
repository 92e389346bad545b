#include "engine/image/task_pool.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

namespace engine {

TaskPool::TaskPool(std::function<void()> on_failure) : on_failure_(std::move(on_failure)) {}

void TaskPool::run(unsigned parallel, std::size_t count,
                   const std::function<void(std::size_t)>& work) {
  const std::size_t size = std::min<std::size_t>(std::max(parallel, 1U), count);
  {
    std::vector<std::jthread> threads;
    try {
      while (threads.size() < size) threads.emplace_back([&] { work_off(count, work); });
    } catch (...) {  // no thread to be had: those that run are not to do it all for nothing
      fail(std::current_exception());
    }
  }
  if (failure_) std::rethrow_exception(failure_);
}

void TaskPool::work_off(std::size_t count, const std::function<void(std::size_t)>& work) {
  for (;;) {
    const std::size_t index = next_++;
    if (index >= count || cancelled_) return;
    try {
      work(index);
    } catch (...) {
      fail(std::current_exception());
    }
  }
}

void TaskPool::fail(std::exception_ptr failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  // After the above: what a cancelled one throws must not be taken for the reason.
  cancelled_ = true;
  if (on_failure_) on_failure_();
}

}  // namespace engine
