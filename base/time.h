// Time: wall clock in nanoseconds since the epoch, as RFC 3339 and as docker's "2 hours ago".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace base {

using Nanoseconds = std::int64_t;  // since 1970-01-01T00:00:00Z; 0: never

Nanoseconds now();

// "2026-11-21T22:09:09.123456789Z", trailing zeros of the fraction dropped as Go's RFC3339Nano
// does; 0 gives Go's zero time "0001-01-01T00:00:00Z".
std::string format_rfc3339(Nanoseconds time);

// RFC 3339 with any offset and fraction. Throws kInvalid.
Nanoseconds parse_rfc3339(std::string_view text);

// docker's units.HumanDuration: "Less than a second", "5 seconds", "About a minute", "3 hours", "2
// weeks".
std::string human_duration(Nanoseconds duration);

// Go's time.ParseDuration: "1h30m", "1.5s", "100ms". Throws kInvalid.
Nanoseconds parse_duration(std::string_view text);

// docker's units.HumanSize with 4 significant digits: "7.8kB", "1.234GB" (powers of 1000).
std::string human_size(std::uint64_t bytes);
// docker's units.BytesSize: "7.8KiB" (powers of 1024).
std::string human_size_binary(std::uint64_t bytes);
// docker's units.RAMInBytes: "512m", "1.5g", "64KiB", plain bytes. Throws kInvalid.
std::int64_t parse_size_binary(std::string_view text);

}  // namespace base
