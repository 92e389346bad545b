#include "engine/health.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using engine::add_health_result;
using engine::Health;
using engine::HealthResult;

constexpr base::Nanoseconds kSecond = 1'000'000'000;

HealthResult result(int code, base::Nanoseconds start) {
  return {.start = start, .end = start + 1, .exit_code = code, .output = "said"};
}

TEST(Health, FailsAfterItsRetriesAndHealsAtOnce) {
  const oci::HealthCheck check = engine::with_health_defaults({.test = {"CMD", "x"}});
  Health health;
  EXPECT_FALSE(add_health_result(health, result(1, 1), check, 0));
  EXPECT_FALSE(add_health_result(health, result(2, 2), check, 0));
  EXPECT_EQ(health.status, Health::Status::kStarting);
  EXPECT_TRUE(add_health_result(health, result(-1, 3), check, 0));
  EXPECT_EQ(health.status, Health::Status::kUnhealthy);
  EXPECT_EQ(health.failing_streak, 3);
  EXPECT_TRUE(add_health_result(health, result(0, 4), check, 0));
  EXPECT_EQ(health.status, Health::Status::kHealthy);
  EXPECT_EQ(health.failing_streak, 0);
}

TEST(Health, KeepsTheLastFiveResults) {
  const oci::HealthCheck check = engine::with_health_defaults({.test = {"CMD", "x"}});
  Health health;
  for (int i = 0; i < 9; ++i) add_health_result(health, result(0, i), check, 0);
  ASSERT_EQ(health.log.size(), 5U);
  EXPECT_EQ(health.log.front().start, 4);
}

TEST(Health, ForgivesFailuresOfTheStartPeriodUntilItIsHealthyOnce) {
  oci::HealthCheck check = engine::with_health_defaults({.test = {"CMD", "x"}, .retries = 1});
  check.start_period = 10 * kSecond;
  Health health;
  add_health_result(health, result(1, 9 * kSecond), check, 0);
  EXPECT_EQ(health.failing_streak, 0);
  EXPECT_EQ(engine::next_health_wait(health, check, 9 * kSecond), 5 * kSecond);
  EXPECT_EQ(engine::next_health_wait(health, check, 11 * kSecond), 30 * kSecond);
  add_health_result(health, result(0, 9 * kSecond), check, 0);
  EXPECT_EQ(engine::next_health_wait(health, check, 9 * kSecond), 30 * kSecond);
  EXPECT_TRUE(add_health_result(health, result(1, 9 * kSecond), check, 0));
  EXPECT_EQ(health.status, Health::Status::kUnhealthy);
}

TEST(Health, MergesWhatTheUserSaysOverTheImage) {
  const oci::HealthCheck image = {.test = {"CMD", "image"}, .interval = 7, .retries = 2};
  const oci::HealthCheck user = {.test = {}, .interval = 9};
  const auto merged = engine::merge_health(image, user);
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->test, image.test);
  EXPECT_EQ(merged->interval, 9);
  EXPECT_EQ(merged->retries, 2);
  EXPECT_FALSE(engine::merge_health(std::nullopt, user)) << "nothing to run";
  EXPECT_FALSE(engine::is_health_checked(oci::HealthCheck{.test = {"NONE"}}));
  EXPECT_FALSE(engine::is_health_checked(std::nullopt));
  EXPECT_TRUE(engine::is_health_checked(image));
}

TEST(Health, IsReadAsItWasWritten) {
  Health health;
  health.status = Health::Status::kUnhealthy;
  health.failing_streak = 4;
  health.log = {result(-1, kSecond), result(0, 2 * kSecond)};
  EXPECT_EQ(engine::parse_health(engine::render_health(health)), health);
  EXPECT_FALSE(engine::parse_health("{\"Status\":\"healthy\"}"));
  EXPECT_FALSE(engine::parse_health("torn"));
}

TEST(Health, WritesDurationsAsGoDoes) {
  EXPECT_EQ(engine::render_go_duration(400'000'000), "400ms");
  EXPECT_EQ(engine::render_go_duration(30 * kSecond), "30s");
  EXPECT_EQ(engine::render_go_duration(90 * kSecond), "1m30s");
  EXPECT_EQ(engine::render_go_duration(3600 * kSecond), "1h0m0s");
  EXPECT_EQ(engine::render_go_duration(1'500'000'000), "1.5s");
}

TEST(Health, KnowsItsActions) {
  EXPECT_EQ(engine::parse_health_action("restart"), engine::HealthAction::kRestart);
  EXPECT_EQ(engine::health_action_name(engine::HealthAction::kStop), "stop");
  EXPECT_THROW(engine::parse_health_action("explode"), base::Error);
}

}  // namespace
