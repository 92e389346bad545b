#include "base/time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace base {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr std::string_view kGoZeroTime = "0001-01-01T00:00:00Z";

[[noreturn]] void refuse(std::string_view what, std::string_view text) {
  throw Error(ErrorKind::kInvalid,
              "invalid " + std::string(what) + " \"" + printable(text, 80) + "\"");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes what it reads from the front; every member says whether it was there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  bool at_digit() const { return !rest_.empty() && is_digit(rest_.front()); }

  // One character out of `any`; '\0' where there is none.
  char take_one_of(std::string_view any) {
    if (rest_.empty() || any.find(rest_.front()) == std::string_view::npos) return '\0';
    const char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }

  // Exactly `count` digits, as a number between the bounds.
  bool take_number(std::size_t count, int lowest, int highest, int& number) {
    if (rest_.size() < count || !std::all_of(rest_.begin(), rest_.begin() + count, is_digit)) {
      return false;
    }
    std::from_chars(rest_.data(), rest_.data() + count, number);
    rest_.remove_prefix(count);
    return number >= lowest && number <= highest;
  }

  std::string_view take_digits() {
    const std::size_t count = static_cast<std::size_t>(
        std::find_if_not(rest_.begin(), rest_.end(), is_digit) - rest_.begin());
    const std::string_view digits = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return digits;
  }

  // Up to the next digit or dot.
  std::string_view take_word() {
    const std::string_view word = rest_.substr(0, rest_.find_first_of("0123456789."));
    rest_.remove_prefix(word.size());
    return word;
  }

 private:
  std::string_view rest_;
};

// The digits behind a decimal point as nanoseconds; what is finer is cut off.
int fraction_of_second(std::string_view digits) {
  int nanoseconds = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    nanoseconds = nanoseconds * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  }
  return nanoseconds;
}

bool take_date(Scanner& scanner, std::chrono::sys_days& day) {
  int year = 0, month = 0, day_of_month = 0;
  if (!scanner.take_number(4, 0, 9999, year) || !scanner.take_one_of("-") ||
      !scanner.take_number(2, 1, 12, month) || !scanner.take_one_of("-") ||
      !scanner.take_number(2, 1, 31, day_of_month)) {
    return false;
  }
  const std::chrono::year_month_day date(std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day_of_month)));
  day = std::chrono::sys_days(date);
  return date.ok();
}

// "22:09:09.5" since midnight; a leap second is refused, as in Go.
bool take_clock(Scanner& scanner, std::int64_t& seconds, int& nanoseconds) {
  int hour = 0, minute = 0, second = 0;
  if (!scanner.take_number(2, 0, 23, hour) || !scanner.take_one_of(":") ||
      !scanner.take_number(2, 0, 59, minute) || !scanner.take_one_of(":") ||
      !scanner.take_number(2, 0, 59, second)) {
    return false;
  }
  seconds = hour * 3600 + minute * 60 + second;
  if (!scanner.take_one_of(".")) return true;
  const std::string_view digits = scanner.take_digits();
  nanoseconds = fraction_of_second(digits);
  return !digits.empty();
}

// "Z" or "+01:00" in seconds east of Greenwich.
bool take_offset(Scanner& scanner, std::int64_t& seconds) {
  if (scanner.take_one_of("Zz")) return true;
  const char sign = scanner.take_one_of("+-");
  int hour = 0, minute = 0;
  if (!sign || !scanner.take_number(2, 0, 23, hour) || !scanner.take_one_of(":") ||
      !scanner.take_number(2, 0, 59, minute)) {
    return false;
  }
  const std::int64_t size = hour * std::int64_t{3600} + minute * std::int64_t{60};
  seconds = sign == '-' ? -size : size;
  return true;
}

std::string human_number(double number, double base, const std::array<const char*, 7>& units) {
  std::size_t unit = 0;
  while (number >= base && unit + 1 < units.size()) {
    number /= base;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g%s", number, units[unit]);
  return text.data();
}

// "k", "KiB", "m", "MB"; 0 where the word is no unit.
double binary_multiple(std::string_view unit) {
  std::string word(unit);
  for (char& c : word) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (word.empty() || word == "b") return 1;
  if (word.size() > 3 || (word.size() == 2 && word[1] != 'b') ||
      (word.size() == 3 && word.substr(1) != "ib")) {
    return 0;
  }
  const std::size_t power = std::string_view("kmgtp").find(word[0]);
  return power == std::string_view::npos ? 0 : std::pow(1024.0, static_cast<double>(power + 1));
}

Nanoseconds duration_unit(std::string_view word) {
  if (word == "ns") return 1;
  if (word == "us" || word == "\u00b5s" || word == "\u03bcs") return 1'000;  // both signs of micro
  if (word == "ms") return 1'000'000;
  if (word == "s") return kSecond;
  if (word == "m") return 60 * kSecond;
  if (word == "h") return 3600 * kSecond;
  return 0;
}

// "1.5h": whole and fraction apart, so that neither loses precision. False where it is malformed or
// does not fit.
bool add_duration_part(Scanner& scanner, Nanoseconds& total) {
  const std::string_view whole = scanner.take_digits();
  const std::string_view fraction =
      scanner.take_one_of(".") ? scanner.take_digits() : std::string_view();
  if (whole.empty() && fraction.empty()) return false;
  const Nanoseconds unit = duration_unit(scanner.take_word());
  if (unit == 0) return false;
  Nanoseconds count = 0;
  if (!whole.empty() &&
      std::from_chars(whole.data(), whole.data() + whole.size(), count).ec != std::errc()) {
    return false;
  }
  // Multiplied before it is divided: 0.1 s is 100 ms exactly.
  long double part = 0, scale = 1;
  for (const char digit : fraction.substr(0, 18)) {
    part = part * 10 + static_cast<long double>(digit - '0');
    scale *= 10;
  }
  part = part * static_cast<long double>(unit) / scale;
  Nanoseconds sum = 0;
  return !__builtin_mul_overflow(count, unit, &sum) &&
         !__builtin_add_overflow(sum, static_cast<Nanoseconds>(part), &sum) &&
         !__builtin_add_overflow(total, sum, &total);
}

}  // namespace

Nanoseconds now() {
  timespec time = {};
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<Nanoseconds>(time.tv_sec) * kSecond + time.tv_nsec;
}

std::string format_rfc3339(Nanoseconds time) {
  if (time == 0) return std::string(kGoZeroTime);
  // Apart, since a day that contains the earliest nanosecond begins before it.
  const auto whole = std::chrono::floor<std::chrono::seconds>(std::chrono::nanoseconds(time));
  const std::int64_t fraction = time % kSecond + (time % kSecond < 0 ? kSecond : 0);
  const auto day = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(whole));
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::sys_seconds(whole) - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09d",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(fraction));
  std::string line = text.data();
  line.erase(line.find_last_not_of('0') + 1);
  if (line.back() == '.') line.pop_back();
  return line + 'Z';
}

Nanoseconds parse_rfc3339(std::string_view text) {
  if (text == kGoZeroTime) return 0;
  Scanner scanner(text);
  std::chrono::sys_days day;
  std::int64_t seconds = 0, offset = 0;
  int nanoseconds = 0;
  if (!take_date(scanner, day) || !scanner.take_one_of("Tt ") ||
      !take_clock(scanner, seconds, nanoseconds) || !take_offset(scanner, offset) ||
      !scanner.at_end()) {
    refuse("time", text);
  }
  seconds += std::int64_t{day.time_since_epoch().count()} * 86400 - offset;
  Nanoseconds result = 0;
  if (__builtin_mul_overflow(seconds, kSecond, &result) ||
      __builtin_add_overflow(result, nanoseconds, &result)) {
    refuse("time", text);  // outside of 1677 to 2262
  }
  return result;
}

std::string human_duration(Nanoseconds duration) {
  const std::int64_t seconds = duration / kSecond;
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return std::to_string(seconds) + " seconds";
  const std::int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return std::to_string(minutes) + " minutes";
  const std::int64_t hours = (seconds + 1800) / 3600;  // rounded
  if (hours == 1) return "About an hour";
  if (hours < 48) return std::to_string(hours) + " hours";
  const std::int64_t days = hours / 24;
  if (days < 14) return std::to_string(days) + " days";
  if (days < 60) return std::to_string(days / 7) + " weeks";
  if (days < 730) return std::to_string(days / 30) + " months";
  return std::to_string(seconds / 3600 / 24 / 365) + " years";
}

Nanoseconds parse_duration(std::string_view text) {
  Scanner scanner(text);
  const bool is_negative = scanner.take_one_of("+-") == '-';
  if (text.ends_with('0') && scanner.take_digits() == "0" && scanner.at_end()) return 0;
  scanner = Scanner(text);
  scanner.take_one_of("+-");
  Nanoseconds total = 0;
  do {
    if (!add_duration_part(scanner, total)) refuse("duration", text);
  } while (!scanner.at_end());
  return is_negative ? -total : total;
}

std::string human_size(std::uint64_t bytes) {
  return human_number(static_cast<double>(bytes), 1000, {"B", "kB", "MB", "GB", "TB", "PB", "EB"});
}

std::string human_size_binary(std::uint64_t bytes) {
  return human_number(static_cast<double>(bytes), 1024,
                      {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"});
}

std::int64_t parse_size_binary(std::string_view text) {
  const std::size_t last = text.find_last_of("0123456789. ");
  if (last == std::string_view::npos) refuse("size", text);
  const std::string_view number = text.substr(0, text[last] == ' ' ? last : last + 1);
  double size = 0;
  const auto [at, error] = std::from_chars(number.data(), number.data() + number.size(), size);
  if (error != std::errc() || at != number.data() + number.size() || std::signbit(size) ||
      !std::isfinite(size)) {
    refuse("size", text);
  }
  const double multiple = binary_multiple(text.substr(last + 1));
  if (multiple == 0) refuse("size", text);
  size *= multiple;
  if (size >= 0x1p63) refuse("size", text);
  return static_cast<std::int64_t>(size);
}

}  // namespace base
