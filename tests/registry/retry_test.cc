#include "registry/retry.h"

#include <gtest/gtest.h>

namespace {

using registry::Failure;
using registry::HostRecord;
using registry::Response;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Retry, OnlyWhatMayPass) {
  const std::pair<int, bool> kStatuses[] = {{400, false}, {401, false}, {403, false}, {404, false},
                                            {405, false}, {408, true},  {410, false}, {416, false},
                                            {429, true},  {500, true},  {501, false}, {502, true},
                                            {503, true},  {504, true},  {505, false}, {200, false}};
  for (const auto& [status, expected] : kStatuses) {
    SCOPED_TRACE(status);
    const Response response{.status = status};
    EXPECT_EQ(is_worth_retrying(response, HostRecord::kNeverAnswered), expected);
    EXPECT_EQ(is_worth_retrying(response, HostRecord::kHasAnswered), expected);
  }
  const struct {
    Failure failure;
    bool at_first, later;
  } kFailures[] = {{Failure::kUnresolved, false, true},   {Failure::kUnconnected, false, true},
                   {Failure::kNoTls, false, true},        {Failure::kBroken, true, true},
                   {Failure::kCertificate, false, false}, {Failure::kTooLarge, false, false},
                   {Failure::kRefused, false, false}};
  for (const auto& [failure, at_first, later] : kFailures) {
    SCOPED_TRACE(static_cast<int>(failure));
    const Response response{.failure = failure};
    EXPECT_EQ(is_worth_retrying(response, HostRecord::kNeverAnswered), at_first);
    EXPECT_EQ(is_worth_retrying(response, HostRecord::kHasAnswered), later);
  }
}

TEST(Retry, ReadsRetryAfter) {
  const std::time_t now = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
  const auto parse = [&](const char* text) { return registry::parse_retry_after(text, now); };
  EXPECT_EQ(parse("0"), seconds(0));
  EXPECT_EQ(parse("120"), seconds(120));
  EXPECT_EQ(parse("Sun, 06 Nov 1994 08:50:07 GMT"), seconds(30));
  EXPECT_EQ(parse("Sunday, 06-Nov-94 08:50:07 GMT"), seconds(30));
  EXPECT_EQ(parse("Sun Nov  6 08:50:07 1994"), seconds(30));
  EXPECT_EQ(parse("Sun, 06 Nov 1994 08:00:00 GMT"), seconds(0));
  EXPECT_EQ(parse("99999999999999999999999"), seconds::max());
  for (const char* text : {"", "-1", "1.5", "soon", "12 s", "Sun", "::"}) {
    EXPECT_EQ(parse(text), std::nullopt) << text;
  }
}

TEST(Retry, PausesDoubleWithJitterUpToALimit) {
  const registry::RetryOptions options{
      .attempts = 6, .first_pause = milliseconds(1000), .longest_pause = milliseconds(5000)};
  for (const double random : {0.0, 1.0}) {
    registry::RetryBudget budget(options, [random] { return random; });
    const long long scale = random == 0.0 ? 1 : 2;
    for (const int expected : {500, 1000, 2000, 2500, 2500}) {
      EXPECT_EQ(budget.next_pause({.status = 503}, 0), milliseconds(expected * scale));
    }
    EXPECT_EQ(budget.next_pause({.status = 503}, 0), std::nullopt);
    budget.reset();
    EXPECT_EQ(budget.next_pause({.status = 503}, 0), milliseconds(500 * scale));
  }
}

TEST(Retry, ObeysTheServerWithinReason) {
  registry::RetryBudget budget({.attempts = 5}, [] { return 0.0; });
  Response response{.status = 429};
  response.headers.add("Retry-After", "7");
  EXPECT_EQ(budget.next_pause(response, 0), seconds(7));
  response.headers.clear();
  response.headers.add("retry-after", "3600");
  EXPECT_EQ(budget.next_pause(response, 0), std::nullopt);
  response.headers.clear();
  response.headers.add("Retry-After", "0");  // never at once: the pause remains
  EXPECT_GT(*budget.next_pause(response, 0), milliseconds(0));
}

TEST(Retry, JitterIsAFraction) {
  for (int i = 0; i < 1000; ++i) {
    const double value = registry::random_fraction();
    EXPECT_GE(value, 0.0);
    EXPECT_LE(value, 1.0);
  }
}

}  // namespace
