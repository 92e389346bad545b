#include "base/time.h"

#include <ctime>
#include <limits>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

constexpr base::Nanoseconds kSecond = 1'000'000'000;
constexpr base::Nanoseconds kHour = 3600 * kSecond;
constexpr base::Nanoseconds kDay = 24 * kHour;

template <class Action>
bool is_refused(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.kind() == base::ErrorKind::kInvalid;
  }
  return false;
}

TEST(Time, NowIsTheWallClock) {
  const base::Nanoseconds now = base::now();
  EXPECT_LE(std::abs(now / kSecond - std::time(nullptr)), 1);
  EXPECT_LE(now, base::now());
}

// As Go's time.RFC3339Nano prints them.
TEST(Time, FormatsAsGo) {
  const std::pair<base::Nanoseconds, const char*> table[] = {
      {0, "0001-01-01T00:00:00Z"},
      {1, "1970-01-01T00:00:00.000000001Z"},
      {kSecond, "1970-01-01T00:00:01Z"},
      {-1, "1969-12-31T23:59:59.999999999Z"},
      {1'795'298'949'123'456'789, "2026-11-21T22:09:09.123456789Z"},
      {1'795'298'949'120'000'000, "2026-11-21T22:09:09.12Z"},
      {1'795'298'940'000'000'000, "2026-11-21T22:09:00Z"},
      {951'782'400 * kSecond, "2000-02-29T00:00:00Z"},
      {std::numeric_limits<base::Nanoseconds>::max(), "2262-04-11T23:47:16.854775807Z"},
      {std::numeric_limits<base::Nanoseconds>::min(), "1677-09-21T00:12:43.145224192Z"},
  };
  for (const auto& [time, text] : table) {
    EXPECT_EQ(base::format_rfc3339(time), text);
  }
}

TEST(Time, ReadsEveryOffsetAndFraction) {
  const std::pair<const char*, base::Nanoseconds> table[] = {
      {"0001-01-01T00:00:00Z", 0},
      {"1970-01-01T00:00:01Z", kSecond},
      {"1970-01-01T01:00:00+01:00", 0},
      {"1969-12-31T19:00:01-05:00", kSecond},
      {"1970-01-01T05:45:01.5+05:45", kSecond + kSecond / 2},
      {"2026-11-21T22:09:09.123456789Z", 1'795'298'949'123'456'789},
      {"2026-11-21T22:09:09.1234567899999Z", 1'795'298'949'123'456'789},
      {"2026-11-21t22:09:09z", 1'795'298'949 * kSecond},
      {"2026-11-21 22:09:09Z", 1'795'298'949 * kSecond},
      {"1969-12-31T23:59:59.999999999Z", -1},
      {"2262-04-11T23:47:16.854775807Z", std::numeric_limits<base::Nanoseconds>::max()},
  };
  for (const auto& [text, time] : table) EXPECT_EQ(base::parse_rfc3339(text), time) << text;
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* text : {"",
                           "2026",
                           "2026-11-21",
                           "2026-11-21T22:09:09",
                           "2026-11-21T22:09Z",
                           "2026-13-01T00:00:00Z",
                           "2026-02-29T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-01-00T00:00:00Z",
                           "2026-01-01T24:00:00Z",
                           "2026-01-01T00:60:00Z",
                           "2026-01-01T00:00:60Z",
                           "2026-01-01T00:00:00.Z",
                           "2026-01-01T00:00:00,5Z",
                           "2026-01-01T00:00:00+24:00",
                           "2026-01-01T00:00:00+0100",
                           "2026-01-01T00:00:00Zx",
                           " 2026-01-01T00:00:00Z",
                           "2263-01-01T00:00:00Z",
                           "9999-12-31T23:59:59Z",
                           "0001-01-02T00:00:00Z",
                           "+026-01-01T00:00:00Z",
                           "2026-1-1T0:0:0Z"}) {
    EXPECT_TRUE(is_refused([&] { base::parse_rfc3339(text); })) << text;
  }
}

TEST(Time, FormatAndParseAreInverse) {
  for (base::Nanoseconds time = 1; time < 9'000'000'000'000'000'000; time = time * 3 + 12345) {
    EXPECT_EQ(base::parse_rfc3339(base::format_rfc3339(time)), time);
    EXPECT_EQ(base::parse_rfc3339(base::format_rfc3339(-time)), -time);
    if (time > 2'000'000'000'000'000'000) break;
  }
}

// docker/go-units, duration_test.go's cases and the borders between them.
TEST(Time, SaysDurationsAsDocker) {
  const std::pair<base::Nanoseconds, const char*> table[] = {
      {-5 * kSecond, "Less than a second"},
      {450'000'000, "Less than a second"},
      {kSecond, "1 second"},
      {47 * kSecond, "47 seconds"},
      {60 * kSecond - 1, "59 seconds"},
      {60 * kSecond, "About a minute"},
      {119 * kSecond, "About a minute"},
      {2 * 60 * kSecond, "2 minutes"},
      {35 * 60 * kSecond + 40 * kSecond, "35 minutes"},
      {kHour - 1, "59 minutes"},
      {kHour, "About an hour"},
      {kHour + 29 * 60 * kSecond, "About an hour"},
      {kHour + 30 * 60 * kSecond, "2 hours"},
      {3 * kHour, "3 hours"},
      {47 * kHour, "47 hours"},
      {2 * kDay, "2 days"},
      {14 * kDay - kHour, "13 days"},
      {14 * kDay, "2 weeks"},
      {59 * kDay, "8 weeks"},
      {60 * kDay, "2 months"},
      {2 * 365 * kDay - kDay, "24 months"},
      {2 * 365 * kDay, "2 years"},
      {20 * 365 * kDay, "20 years"},
  };
  for (const auto& [duration, text] : table) EXPECT_EQ(base::human_duration(duration), text);
}

TEST(Time, ReadsDurationsAsGo) {
  const std::pair<const char*, base::Nanoseconds> table[] = {
      {"0", 0},
      {"-0", 0},
      {"5s", 5 * kSecond},
      {"0s", 0},
      {"30s", 30 * kSecond},
      {"+5s", 5 * kSecond},
      {"-5s", -5 * kSecond},
      {"5.0s", 5 * kSecond},
      {"5.s", 5 * kSecond},
      {".5s", kSecond / 2},
      {"0.1s", kSecond / 10},
      {"1.004s", 1'004'000'000},
      {"100.00100s", 100'001'000'000},
      {"10ns", 10},
      {"11us", 11'000},
      {"12µs", 12'000},
      {"12μs", 12'000},
      {"13ms", 13'000'000},
      {"16h", 16 * kHour},
      {"3h30m", 3 * kHour + kHour / 2},
      {"1h1m1s1ms1us1ns", kHour + 61'001'001'001},
      {"1.5h", kHour + kHour / 2},
      {"0.3333333333333333333h", 20 * 60 * kSecond},
      {"9223372036854775807ns", std::numeric_limits<base::Nanoseconds>::max()},
  };
  for (const auto& [text, duration] : table) {
    EXPECT_NEAR(static_cast<double>(base::parse_duration(text)), static_cast<double>(duration),
                std::string(text).find("3333") == std::string::npos ? 0.0 : 1.0)
        << text;
  }
}

TEST(Time, RefusesWhatIsNoDuration) {
  for (const char* text : {"",
                           "3",
                           "-",
                           "+",
                           "s",
                           ".",
                           "-.",
                           ".s",
                           "+.s",
                           "1d",
                           "1 s",
                           "1s ",
                           "1e3s",
                           "1hour",
                           "--1s",
                           "1.2.3s",
                           "9223372036854775808ns",
                           "9999999h",
                           "99999999999999999999s",
                           "00",
                           "1s2"}) {
    EXPECT_TRUE(is_refused([&] { base::parse_duration(text); })) << text;
  }
}

TEST(Size, SaysBytesAsDocker) {
  const std::pair<std::uint64_t, const char*> table[] = {
      {0, "0B"},
      {1, "1B"},
      {999, "999B"},
      {1000, "1kB"},
      {1024, "1.024kB"},
      {7'801, "7.801kB"},
      {7'800'000, "7.8MB"},
      {999'949, "999.9kB"},
      {999'999, "1000kB"},
      {1'234'567'890, "1.235GB"},
      {3'420'000'000'000, "3.42TB"},
      {18'446'744'073'709'551'615U, "18.45EB"},
  };
  for (const auto& [bytes, text] : table) EXPECT_EQ(base::human_size(bytes), text);
  EXPECT_EQ(base::human_size_binary(0), "0B");
  EXPECT_EQ(base::human_size_binary(1023), "1023B");
  EXPECT_EQ(base::human_size_binary(1024), "1KiB");
  EXPECT_EQ(base::human_size_binary(8'000), "7.812KiB");
  EXPECT_EQ(base::human_size_binary(5U << 20U), "5MiB");
  EXPECT_EQ(base::human_size_binary(std::uint64_t{3} << 40U), "3TiB");
}

// docker/go-units, size_test.go.
TEST(Size, ReadsBytesAsDocker) {
  const std::pair<const char*, std::int64_t> table[] = {
      {"32", 32},
      {"32b", 32},
      {"32B", 32},
      {"32k", 32 * 1024},
      {"32K", 32 * 1024},
      {"32kb", 32 * 1024},
      {"32Kb", 32 * 1024},
      {"32Kib", 32 * 1024},
      {"32KIB", 32 * 1024},
      {"32Mb", 32 << 20},
      {"32Gb", 32LL << 30},
      {"32Tb", 32LL << 40},
      {"32Pb", 32LL << 50},
      {"32.5kB", 33'280},
      {"32.5 kB", 33'280},
      {"1.5g", 1'610'612'736},
      {"0.3 K", 307},
      {".3kB", 307},
      {"0.", 0},
      {"0. ", 0},
      {"32 ", 32},
      {"0", 0},
  };
  for (const auto& [text, bytes] : table) EXPECT_EQ(base::parse_size_binary(text), bytes) << text;
}

TEST(Size, RefusesWhatIsNoSize) {
  for (const char* text : {"",
                           "hello",
                           ".",
                           ". ",
                           " ",
                           "  ",
                           "-32",
                           "-0",
                           "32x",
                           "32kbb",
                           "32bb",
                           "32iB",
                           "32 kb ",
                           " 32",
                           "32  m",
                           "+-1",
                           "1,5g",
                           "inf",
                           "nan",
                           "0x10k",
                           "9000000000g",
                           "9223372036854775808",
                           "m",
                           "1kk",
                           "1ki",
                           "1mi b"}) {
    EXPECT_TRUE(is_refused([&] { base::parse_size_binary(text); })) << text;
  }
}

}  // namespace
