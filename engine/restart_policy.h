// Restart policies: whether and when a container that has ended starts again, as docker decides
// it; pure.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"

namespace engine {

enum class RestartPolicy { kNo, kOnFailure, kAlways, kUnlessStopped };

struct RestartRule {
  RestartPolicy policy = RestartPolicy::kNo;
  int max_retries = 0;  // of on-failure; 0: any number
  friend bool operator==(const RestartRule&, const RestartRule&) = default;
};

// "on-failure:3". Throws kInvalid with docker's words.
RestartRule parse_restart_rule(std::string_view text);
std::string restart_policy_name(RestartPolicy policy);  // "on-failure"

// `restarts`: how often the rule has started it again already.
bool should_restart(const RestartRule& rule, int exit_code, int restarts);

// Whether a container that ran is to run again after a reboot; `stopped`: a user stopped it since.
bool should_return(const RestartRule& rule, bool stopped);

// docker's waits: 100 ms, twice as long each time, at most a minute; from the start again after a
// run of ten seconds.
class RestartBackoff {
 public:
  base::Nanoseconds next(base::Nanoseconds ran);

 private:
  base::Nanoseconds wait_ = 0;
};

}  // namespace engine
