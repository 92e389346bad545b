#include "engine/restart_policy.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace engine {
namespace {

constexpr base::Nanoseconds kFirstWait = 100'000'000;
constexpr base::Nanoseconds kLongestWait = 60'000'000'000;
constexpr base::Nanoseconds kLongRun = 10'000'000'000;

[[noreturn]] void refuse_rule(const std::string& why) {
  throw base::Error(base::ErrorKind::kInvalid, why);
}

RestartPolicy parse_policy(std::string_view name) {
  if (name == "no") return RestartPolicy::kNo;
  if (name == "on-failure") return RestartPolicy::kOnFailure;
  if (name == "always") return RestartPolicy::kAlways;
  if (name == "unless-stopped") return RestartPolicy::kUnlessStopped;
  refuse_rule("invalid restart policy: unknown policy '" + std::string(name) +
              "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
}

}  // namespace

RestartRule parse_restart_rule(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t colon = text.find(':');
  if (colon == 0) refuse_rule("invalid restart policy format: no policy provided before colon");
  RestartRule rule;
  if (colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), rule.max_retries);
    if (error != std::errc() || end != number.data() + number.size()) {
      refuse_rule("invalid restart policy format: maximum retry count must be an integer");
    }
  }
  rule.policy = parse_policy(text.substr(0, colon));
  if (rule.max_retries < 0) {
    refuse_rule("invalid restart policy: maximum retry count cannot be negative");
  }
  if (rule.max_retries > 0 && rule.policy != RestartPolicy::kOnFailure) {
    refuse_rule("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  return rule;
}

std::string restart_policy_name(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::kOnFailure:
      return "on-failure";
    case RestartPolicy::kAlways:
      return "always";
    case RestartPolicy::kUnlessStopped:
      return "unless-stopped";
    case RestartPolicy::kNo:
      break;
  }
  return "no";
}

bool should_restart(const RestartRule& rule, int exit_code, int restarts) {
  if (rule.policy == RestartPolicy::kNo) return false;
  if (rule.policy != RestartPolicy::kOnFailure) return true;
  return exit_code != 0 && (rule.max_retries == 0 || restarts < rule.max_retries);
}

bool should_return(const RestartRule& rule, bool stopped) {
  return rule.policy == RestartPolicy::kAlways ||
         (rule.policy == RestartPolicy::kUnlessStopped && !stopped);
}

base::Nanoseconds RestartBackoff::next(base::Nanoseconds ran) {
  if (ran >= kLongRun) wait_ = 0;
  wait_ = wait_ == 0 ? kFirstWait : std::min(2 * wait_, kLongestWait);
  return wait_;
}

}  // namespace engine
