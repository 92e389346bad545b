// SharedStore: a Store, which is not thread-safe, lent to the threads of one pull in turn.
#pragma once

#include <mutex>
#include <utility>

#include "storage/store.h"

namespace engine {

class SharedStore {
 public:
  explicit SharedStore(storage::Store& store) : store_(store) {}

  // Runs `action(store)` while no other thread uses the store; keep it short.
  template <class Action>
  auto with(Action&& action) {
    const std::lock_guard lock(mutex_);
    return std::forward<Action>(action)(store_);
  }

  // For what only asks it for paths, which never change.
  const storage::Store& unlocked() const { return store_; }

 private:
  std::mutex mutex_;
  storage::Store& store_;
};

}  // namespace engine
