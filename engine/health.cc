#include "engine/health.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace engine {
namespace {

constexpr base::Nanoseconds kHealthSecond = 1'000'000'000;
constexpr std::size_t kHealthLogLength = 5;
constexpr std::pair<std::string_view, HealthAction> kHealthActions[] = {
    {"none", HealthAction::kNone},
    {"kill", HealthAction::kKill},
    {"restart", HealthAction::kRestart},
    {"stop", HealthAction::kStop},
};

template <class Number>
void set_if_given(Number& to, Number given) {
  if (given != 0) to = given;
}

}  // namespace

HealthAction parse_health_action(std::string_view text) {
  for (const auto& [name, action] : kHealthActions) {
    if (name == text) return action;
  }
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid value for \"--health-on-failure\": " + std::string(text) +
                        ": must be one of none, kill, restart or stop");
}

std::string health_action_name(HealthAction action) {
  for (const auto& [name, value] : kHealthActions) {
    if (value == action) return std::string(name);
  }
  return "none";
}

std::optional<oci::HealthCheck> merge_health(const std::optional<oci::HealthCheck>& image,
                                             const std::optional<oci::HealthCheck>& user) {
  if (!user) return image;
  if (!image) return user->test.empty() ? std::nullopt : user;
  oci::HealthCheck merged = *image;
  if (!user->test.empty()) merged.test = user->test;
  set_if_given(merged.interval, user->interval);
  set_if_given(merged.timeout, user->timeout);
  set_if_given(merged.start_period, user->start_period);
  set_if_given(merged.start_interval, user->start_interval);
  set_if_given(merged.retries, user->retries);
  return merged;
}

oci::HealthCheck with_health_defaults(oci::HealthCheck check) {
  if (check.interval <= 0) check.interval = 30 * kHealthSecond;
  if (check.timeout <= 0) check.timeout = 30 * kHealthSecond;
  if (check.start_interval <= 0) check.start_interval = 5 * kHealthSecond;
  if (check.retries <= 0) check.retries = 3;
  return check;
}

bool is_health_checked(const std::optional<oci::HealthCheck>& check) {
  return check && check->test.size() > 1 &&
         (check->test[0] == "CMD" || check->test[0] == "CMD-SHELL");
}

const char* health_word(Health::Status status) {
  switch (status) {
    case Health::Status::kHealthy:
      return "healthy";
    case Health::Status::kUnhealthy:
      return "unhealthy";
    case Health::Status::kStarting:
      break;
  }
  return "starting";
}

bool add_health_result(Health& health, HealthResult result, const oci::HealthCheck& check,
                       base::Nanoseconds started) {
  const Health::Status before = health.status;
  if (result.exit_code == 0) {
    health.failing_streak = 0;
    health.status = Health::Status::kHealthy;
  } else if (before != Health::Status::kStarting || result.start - started >= check.start_period) {
    ++health.failing_streak;
    if (health.failing_streak >= check.retries) health.status = Health::Status::kUnhealthy;
  }
  health.log.push_back(std::move(result));
  if (health.log.size() > kHealthLogLength) health.log.erase(health.log.begin());
  return health.status != before;
}

base::Nanoseconds next_health_wait(const Health& health, const oci::HealthCheck& check,
                                   base::Nanoseconds up) {
  const bool starting = health.status == Health::Status::kStarting && up < check.start_period;
  return starting ? check.start_interval : check.interval;
}

std::string render_go_duration(base::Nanoseconds duration) {
  if (duration < kHealthSecond) {
    const auto [unit, name] = duration >= 1'000'000 ? std::pair{1'000'000, "ms"}
                              : duration >= 1'000   ? std::pair{1'000, "µs"}
                                                    : std::pair{1, "ns"};
    std::string text = std::to_string(duration / unit);
    return duration == 0 ? "0s" : text + name;
  }
  const base::Nanoseconds seconds = duration / kHealthSecond;
  std::string text;
  if (seconds >= 3600) text += std::to_string(seconds / 3600) + "h";
  if (seconds >= 60) text += std::to_string(seconds / 60 % 60) + "m";
  text += std::to_string(seconds % 60);
  if (base::Nanoseconds rest = duration % kHealthSecond; rest != 0) {
    std::string digits = std::to_string(kHealthSecond + rest).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return text + "s";
}

std::string render_health(const Health& health) {
  using Json = nlohmann::ordered_json;
  Json log = Json::array();
  for (const HealthResult& result : health.log) {
    log.push_back({{"Start", base::format_rfc3339(result.start)},
                   {"End", base::format_rfc3339(result.end)},
                   {"ExitCode", result.exit_code},
                   {"Output", result.output}});
  }
  const Json document = {{"Status", health_word(health.status)},
                         {"FailingStreak", health.failing_streak},
                         {"Log", std::move(log)}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Health> parse_health(std::string_view json) {
  using Json = nlohmann::json;
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return std::nullopt;
  try {
    Health health;
    const auto status = document.at("Status").get<std::string>();
    if (status == "healthy") health.status = Health::Status::kHealthy;
    if (status == "unhealthy") health.status = Health::Status::kUnhealthy;
    health.failing_streak = document.at("FailingStreak").get<int>();
    for (const Json& entry : document.at("Log")) {
      health.log.push_back({.start = base::parse_rfc3339(entry.at("Start").get<std::string>()),
                            .end = base::parse_rfc3339(entry.at("End").get<std::string>()),
                            .exit_code = entry.at("ExitCode").get<int>(),
                            .output = entry.at("Output").get<std::string>()});
    }
    return health;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace engine
