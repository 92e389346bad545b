#include "engine/signals.h"

#include <csignal>

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

TEST(Signals, AreFoundByNameAndNumber) {
  const std::pair<const char*, int> kTable[] = {
      {"TERM", SIGTERM}, {"SIGTERM", SIGTERM}, {"sigterm", SIGTERM}, {"15", 15},
      {"KILL", SIGKILL}, {"IOT", SIGABRT},     {"RTMIN", 34},        {"SIGRTMIN+3", 37},
      {"RTMAX", 64},     {"RTMAX-1", 63},      {"WINCH", SIGWINCH},  {"64", 64},
  };
  for (const auto& [text, number] : kTable) EXPECT_EQ(parse_signal(text), number) << text;
}

TEST(Signals, OthersAreRefusedInDockersWords) {
  for (const char* text : {"", "0", "65", "-1", "TERMX", "SIG", "RTMIN+31", "RTMIN-1", "RTMAX+1",
                           "15x", "99999999999", "RTMIN+"}) {
    try {
      parse_signal(text);
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
      EXPECT_EQ(error.what(), "Invalid signal: " + std::string(text));
    }
  }
}

TEST(Signals, HaveNames) {
  EXPECT_EQ(signal_name(SIGTERM), "SIGTERM");
  EXPECT_EQ(signal_name(37), "SIGRTMIN+3");
}

}  // namespace
}  // namespace engine
