// Retrier: carries out the pauses of a RetryBudget and remembers which hosts have ever answered.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "registry/cancellation.h"
#include "registry/retry.h"

namespace registry {

// Thread-safe.
class Retrier {
 public:
  // `cancellation` must live longer than this.
  Retrier(RetryOptions options, Cancellation& cancellation);

  RetryBudget make_budget() const;
  // Remembers the host, waits and returns true where `response` is worth another attempt.
  bool wait_for_next(const Response& response, RetryBudget& budget);
  // As above without asking whether the status is worth it; false where the budget is spent.
  bool pause(const Response& response, RetryBudget& budget);
  // Attempts until one succeeds or is final.
  Response run(const std::function<Response()>& attempt);

 private:
  HostRecord note(const Response& response);

  RetryOptions options_;
  Cancellation& cancellation_;
  std::mutex mutex_;
  std::set<std::string> answered_;
};

}  // namespace registry
