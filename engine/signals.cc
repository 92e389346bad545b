#include "engine/signals.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>

#include "base/error.h"

namespace engine {
namespace {

// What a container sees as SIGRTMIN is the kernel's number; libc keeps the first two to itself.
constexpr int kFirstRealTime = 34;
constexpr int kLastRealTime = 64;

[[noreturn]] void refuse(std::string_view text) {
  throw base::Error(base::ErrorKind::kInvalid, "Invalid signal: " + std::string(text));
}

int parse_number(std::string_view digits, std::string_view whole) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) refuse(whole);
  return value;
}

int parse_real_time(std::string_view name, std::string_view whole) {
  const bool from_first = name.starts_with("RTMIN");
  std::string_view rest = name.substr(5);
  int offset = 0;
  if (!rest.empty()) {
    if (rest[0] != (from_first ? '+' : '-')) refuse(whole);
    offset = parse_number(rest.substr(1), whole);
  }
  const int signal = from_first ? kFirstRealTime + offset : kLastRealTime - offset;
  if (offset < 0 || signal < kFirstRealTime || signal > kLastRealTime) refuse(whole);
  return signal;
}

}  // namespace

int parse_signal(std::string_view text) {
  if (text.empty()) refuse(text);
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    const int number = parse_number(text, text);
    if (number < 1 || number > kLastRealTime) refuse(text);
    return number;
  }
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) return parse_real_time(name, text);
  if (name == "IOT") return SIGABRT;
  if (name == "CLD") return SIGCHLD;
  for (int signal = 1; signal < 32; ++signal) {
    const char* const known = sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  refuse(text);
}

std::string signal_name(int signal) {
  if (signal >= kFirstRealTime && signal <= kLastRealTime) {
    return "SIGRTMIN+" + std::to_string(signal - kFirstRealTime);
  }
  const char* const known = sigabbrev_np(signal);
  return known != nullptr ? "SIG" + std::string(known) : std::to_string(signal);
}

}  // namespace engine
