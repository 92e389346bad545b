#include "registry/retry.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <string>

#include <curl/curl.h>

namespace registry {

bool is_worth_retrying(const Response& response, HostRecord record) {
  switch (response.failure) {
    case Failure::kUnresolved:
    case Failure::kUnconnected:
    case Failure::kNoTls:
      return record == HostRecord::kHasAnswered;
    case Failure::kBroken:
      return true;
    case Failure::kCertificate:
    case Failure::kTooLarge:
    case Failure::kRefused:
      return false;
    case Failure::kNone:
      break;
  }
  switch (response.status) {
    case 408:  // request timeout
    case 429:  // too many requests
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::time_t now) {
  long long seconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (stop == end && !text.empty()) {
    if (error == std::errc::result_out_of_range) return std::chrono::seconds::max();
    if (error == std::errc() && seconds >= 0) return std::chrono::seconds(seconds);
    return std::nullopt;
  }
  // A date has a time in it; curl_getdate(3) would also read lone words and numbers.
  if (text.find(':') == std::string_view::npos) return std::nullopt;
  const std::time_t date = curl_getdate(std::string(text).c_str(), nullptr);
  if (date == -1) return std::nullopt;
  return std::chrono::seconds(std::max<std::time_t>(date - now, 0));
}

RetryBudget::RetryBudget(RetryOptions options, std::function<double()> random)
    : options_(options), random_(std::move(random)) {}

std::optional<std::chrono::milliseconds> RetryBudget::next_pause(const Response& response,
                                                                 std::time_t now) {
  if (++failures_ >= options_.attempts) return std::nullopt;
  const auto asked = parse_retry_after(response.headers.find("retry-after"), now);
  if (asked && *asked > options_.longest_retry_after) return std::nullopt;
  std::chrono::milliseconds pause = options_.first_pause;
  for (int i = 1; i < failures_ && pause < options_.longest_pause; ++i) pause *= 2;
  pause = std::min(pause, options_.longest_pause);
  // Half of it at random.
  const auto half = static_cast<double>(pause.count()) / 2;
  pause = std::chrono::milliseconds(static_cast<long long>(half + half * random_()));
  return asked ? std::max<std::chrono::milliseconds>(*asked, pause) : pause;
}

double random_fraction() {
  thread_local std::minstd_rand engine(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

}  // namespace registry
