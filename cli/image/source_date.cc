#include "cli/image/source_date.h"

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace cli {

std::optional<std::int64_t> find_source_date() {
  const char* const text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view digits = text;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  constexpr std::int64_t kLatest = 253'402'300'799;  // the year 9999
  if (error != std::errc() || end != digits.data() + digits.size() || seconds < 0 ||
      seconds > kLatest) {
    throw base::Error(base::ErrorKind::kInvalid, "SOURCE_DATE_EPOCH is no time in seconds");
  }
  return seconds;
}

}  // namespace cli
