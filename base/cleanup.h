// Cleanup and CHandle: work that runs when a scope ends, and C objects that free themselves.
#pragma once

#include <memory>
#include <utility>

namespace base {

// Runs `action` at the end of the scope unless dismissed. The action must not throw.
template <class Action>
class Cleanup {
 public:
  explicit Cleanup(Action action) : action_(std::move(action)) {}
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  ~Cleanup() {
    if (armed_) action_();
  }
  void dismiss() { armed_ = false; }

 private:
  Action action_;
  bool armed_ = true;
};

// A unique_ptr whose deleter is a C function: CHandle<archive, archive_read_free>.
template <class T, auto free_function>
struct CDeleter {
  void operator()(T* object) const { free_function(object); }
};
template <class T, auto free_function>
using CHandle = std::unique_ptr<T, CDeleter<T, free_function>>;

}  // namespace base
