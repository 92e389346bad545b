// Retry: whether and when a request is worth another try.
#pragma once

#include <chrono>
#include <ctime>
#include <functional>
#include <optional>
#include <string_view>

#include "registry/http.h"

namespace registry {

struct RetryOptions {
  int attempts = 5;
  std::chrono::milliseconds first_pause{1000};  // doubles each time
  std::chrono::milliseconds longest_pause{30'000};
  std::chrono::seconds longest_retry_after{60};  // a server that asks for more is not waited for
};

// A host that has never answered is not waited for: a wrong name or a registry that is not running
// is told at once.
enum class HostRecord { kNeverAnswered, kHasAnswered };

// Broken transfers, 408, 429 and 5xx but 501 and 505; never another 4xx, a certificate, a size.
bool is_worth_retrying(const Response& response, HostRecord record);

// Seconds or an HTTP date (RFC 9110, section 10.2.3); nullopt where it is neither. A date in the
// past is 0.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::time_t now);

// The attempts of one request.
class RetryBudget {
 public:
  // `random` gives numbers from 0 to 1.
  RetryBudget(RetryOptions options, std::function<double()> random);

  // How long to wait before the next attempt; nullopt: give up.
  std::optional<std::chrono::milliseconds> next_pause(const Response& response, std::time_t now);
  // An attempt that got on starts the count anew.
  void reset() { failures_ = 0; }

 private:
  RetryOptions options_;
  std::function<double()> random_;
  int failures_ = 0;
};

// From 0 to 1, seeded for each thread, so that clients that failed together do not return together.
double random_fraction();

}  // namespace registry
