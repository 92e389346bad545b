#include "engine/restart_policy.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using engine::parse_restart_rule;
using engine::RestartBackoff;
using engine::RestartPolicy;
using engine::RestartRule;

constexpr base::Nanoseconds kMillisecond = 1'000'000;
constexpr base::Nanoseconds kSecond = 1'000'000'000;

std::string refusal_of(const char* text) {
  try {
    parse_restart_rule(text);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(RestartPolicy, ParsesDockersWords) {
  EXPECT_EQ(parse_restart_rule("").policy, RestartPolicy::kNo);
  EXPECT_EQ(parse_restart_rule("no").policy, RestartPolicy::kNo);
  EXPECT_EQ(parse_restart_rule("always").policy, RestartPolicy::kAlways);
  EXPECT_EQ(parse_restart_rule("unless-stopped").policy, RestartPolicy::kUnlessStopped);
  EXPECT_EQ(parse_restart_rule("on-failure:3"), (RestartRule{RestartPolicy::kOnFailure, 3}));
  EXPECT_NE(refusal_of("sometimes").find("unknown policy 'sometimes'"), std::string::npos);
  EXPECT_NE(refusal_of("on-failure:").find("must be an integer"), std::string::npos);
  EXPECT_NE(refusal_of("on-failure:-1").find("cannot be negative"), std::string::npos);
  EXPECT_NE(refusal_of("always:1").find("only be used with 'on-failure'"), std::string::npos);
  EXPECT_NE(refusal_of(":1").find("no policy provided"), std::string::npos);
}

TEST(RestartPolicy, DecidesByExitCodeAndCount) {
  const RestartRule thrice = parse_restart_rule("on-failure:3");
  EXPECT_TRUE(engine::should_restart(thrice, 1, 2));
  EXPECT_FALSE(engine::should_restart(thrice, 1, 3));
  EXPECT_FALSE(engine::should_restart(thrice, 0, 0));
  EXPECT_TRUE(engine::should_restart(parse_restart_rule("on-failure"), 137, 1'000));
  EXPECT_TRUE(engine::should_restart(parse_restart_rule("always"), 0, 1'000));
  EXPECT_TRUE(engine::should_restart(parse_restart_rule("unless-stopped"), 0, 0));
  EXPECT_FALSE(engine::should_restart({}, 1, 0));
}

TEST(RestartPolicy, KnowsWhatComesBackAfterABoot) {
  EXPECT_TRUE(engine::should_return(parse_restart_rule("always"), true));
  EXPECT_TRUE(engine::should_return(parse_restart_rule("unless-stopped"), false));
  EXPECT_FALSE(engine::should_return(parse_restart_rule("unless-stopped"), true));
  EXPECT_FALSE(engine::should_return(parse_restart_rule("on-failure"), false));
  EXPECT_FALSE(engine::should_return({}, false));
}

TEST(RestartBackoff, DoublesToAMinuteAndStartsAnewAfterALongRun) {
  RestartBackoff backoff;
  EXPECT_EQ(backoff.next(0), 100 * kMillisecond);
  EXPECT_EQ(backoff.next(0), 200 * kMillisecond);
  EXPECT_EQ(backoff.next(9 * kSecond), 400 * kMillisecond);
  for (int i = 0; i < 20; ++i) backoff.next(kSecond);
  EXPECT_EQ(backoff.next(kSecond), 60 * kSecond);
  EXPECT_EQ(backoff.next(10 * kSecond), 100 * kMillisecond);
}

}  // namespace
