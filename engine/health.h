// Health: what a health check has found so far and what follows from it, as docker counts; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "oci/image_config.h"

namespace engine {

enum class HealthAction { kNone, kKill, kRestart, kStop };  // once it is unhealthy

// "none", "kill", "restart", "stop". Throws kInvalid.
HealthAction parse_health_action(std::string_view text);
std::string health_action_name(HealthAction action);

// The image's check with what the user set over it; nullopt where neither has one.
std::optional<oci::HealthCheck> merge_health(const std::optional<oci::HealthCheck>& image,
                                             const std::optional<oci::HealthCheck>& user);
// With docker's numbers where nobody gave any: every 30 s, 30 s long at most, 3 retries.
oci::HealthCheck with_health_defaults(oci::HealthCheck check);
bool is_health_checked(const std::optional<oci::HealthCheck>& check);  // neither none nor "NONE"

struct HealthResult {
  base::Nanoseconds start = 0, end = 0;
  int exit_code = 0;
  std::string output;
  friend bool operator==(const HealthResult&, const HealthResult&) = default;
};

struct Health {
  enum class Status { kStarting, kHealthy, kUnhealthy } status = Status::kStarting;
  int failing_streak = 0;
  std::vector<HealthResult> log;  // the last five
  friend bool operator==(const Health&, const Health&) = default;
};

const char* health_word(Health::Status status);  // "starting"

// Takes a result in; `started`: when the container was. True where the status is another now.
bool add_health_result(Health& health, HealthResult result, const oci::HealthCheck& check,
                       base::Nanoseconds started);

// How long after one result, or the start, the next check begins; `up`: since the start.
base::Nanoseconds next_health_wait(const Health& health, const oci::HealthCheck& check,
                                   base::Nanoseconds up);

// Docker keeps the first 4096 bytes of what a check says.
constexpr std::size_t kMaxHealthOutput = 4096;

// As Go prints a duration: "1m30s", "500ms".
std::string render_go_duration(base::Nanoseconds duration);

// State.Health of the inspect document, which is also what the container's health.json holds.
std::string render_health(const Health& health);
std::optional<Health> parse_health(std::string_view json);

}  // namespace engine
