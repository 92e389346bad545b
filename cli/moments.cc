#include "cli/moments.h"

#include <charconv>
#include <ctime>

#include "base/error.h"

namespace cli {
namespace {

constexpr base::Nanoseconds kNanosecondsASecond = 1'000'000'000;

// "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02": in the zone of whoever asks.
base::Nanoseconds parse_local(const std::string& text) {
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    std::tm fields = {};
    fields.tm_isdst = -1;
    const char* end = strptime(text.c_str(), format, &fields);
    if (end != nullptr && *end == '\0') return std::mktime(&fields) * kNanosecondsASecond;
  }
  return 0;
}

}  // namespace

base::Nanoseconds parse_moment(const std::string& flag, const std::string& text) {
  if (text.empty()) return 0;
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) {
    return static_cast<base::Nanoseconds>(seconds * 1e9);
  }
  if (const base::Nanoseconds local = parse_local(text); local != 0) return local;
  try {
    return base::now() - base::parse_duration(text);
  } catch (const base::Error&) {
    return base::while_doing("invalid value for \"" + flag + "\"",
                             [&] { return base::parse_rfc3339(text); });
  }
}

}  // namespace cli
