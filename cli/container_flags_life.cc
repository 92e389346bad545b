// The flags of `run` and `create` that say what happens while nobody looks: restarts and health.
#include "base/error.h"
#include "base/time.h"
#include "cli/container_flags.h"

namespace cli {
namespace {

constexpr base::Nanoseconds kShortestHealthTime = 1'000'000;

std::int64_t health_duration(const std::string& flag, const std::string& text) {
  if (text.empty()) return 0;
  const base::Nanoseconds time =
      base::while_doing("invalid argument \"" + text + "\" for \"--" + flag + "\" flag",
                        [&] { return base::parse_duration(text); });
  if (time < 0) {
    throw base::Error(base::ErrorKind::kInvalid, "--" + flag + " cannot be negative");
  }
  if (time != 0 && time < kShortestHealthTime) {
    throw base::Error(base::ErrorKind::kInvalid, "--" + flag + " cannot be less than 1ms");
  }
  return time;
}

}  // namespace

std::vector<Flag> ContainerFlags::life_flags() {
  return {
      {"--restart", "string",
       "Restart policy when a container exits (no|on-failure[:max-retries]|always|unless-stopped)",
       &restart_},
      {"--health-cmd,--healthcheck-command", "string", "Command to run to check health",
       &health_cmd_},
      {"--health-interval,--healthcheck-interval", "duration", "Time between running the check",
       &health_interval_},
      {"--health-timeout,--healthcheck-timeout", "duration",
       "Maximum time to allow one check to run", &health_timeout_},
      {"--health-retries,--healthcheck-retries", "int",
       "Consecutive failures needed to report unhealthy", &health_retries_},
      {"--health-start-period,--healthcheck-start-period", "duration",
       "Start period for the container to initialize before starting health-retries countdown",
       &health_start_period_},
      {"--health-start-interval", "duration",
       "Time between running the check during the start period", &health_start_interval_},
      {"--health-on-failure", "string",
       "What to do with an unhealthy container (\"none\", \"kill\", \"restart\", \"stop\")",
       &health_on_failure_},
      {"--no-healthcheck", "", "Disable any container-specified HEALTHCHECK", &no_health_check_},
  };
}

std::optional<oci::HealthCheck> ContainerFlags::health_check() const {
  oci::HealthCheck check;
  check.interval = health_duration("health-interval", health_interval_);
  check.timeout = health_duration("health-timeout", health_timeout_);
  check.start_period = health_duration("health-start-period", health_start_period_);
  check.start_interval = health_duration("health-start-interval", health_start_interval_);
  check.retries = health_retries_;
  if (health_retries_ < 0) {
    throw base::Error(base::ErrorKind::kInvalid, "--health-retries cannot be negative");
  }
  if (!health_cmd_.empty()) check.test = {"CMD-SHELL", health_cmd_};
  const bool given = check != oci::HealthCheck{};
  if (no_health_check_ && given) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "--no-healthcheck conflicts with --health-* options");
  }
  if (no_health_check_) check.test = {"NONE"};
  return given || no_health_check_ ? std::optional(check) : std::nullopt;
}

}  // namespace cli
