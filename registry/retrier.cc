#include "registry/retrier.h"

#include <ctime>

#include "base/trace.h"
#include "registry/failure.h"

namespace registry {

Retrier::Retrier(RetryOptions options, Cancellation& cancellation)
    : options_(options), cancellation_(cancellation) {}

RetryBudget Retrier::make_budget() const { return {options_, random_fraction}; }

HostRecord Retrier::note(const Response& response) {
  const std::lock_guard lock(mutex_);
  const std::string host = response.url.authority();
  if (response.status > 0) answered_.insert(host);
  // A host to which a registry sent us is as good as one that answered.
  const bool is_known = response.is_from_elsewhere || answered_.contains(host);
  return is_known ? HostRecord::kHasAnswered : HostRecord::kNeverAnswered;
}

bool Retrier::wait_for_next(const Response& response, RetryBudget& budget) {
  return is_worth_retrying(response, note(response)) && pause(response, budget);
}

bool Retrier::pause(const Response& response, RetryBudget& budget) {
  const auto duration = budget.next_pause(response, std::time(nullptr));
  if (!duration) return false;
  base::trace("registry", describe(response) + "; next attempt in " +
                              std::to_string(duration->count()) + " ms");
  cancellation_.pause(*duration);
  return true;
}

Response Retrier::run(const std::function<Response()>& attempt) {
  RetryBudget budget = make_budget();
  for (;;) {
    Response response = attempt();
    if (!wait_for_next(response, budget)) return response;
  }
}

}  // namespace registry
