#include "engine/stop_signal.h"

#include <csignal>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

using engine::loses_signal;

// What proc(5) shows of a process, shortened.
std::string status(const char* pids, const char* blocked, const char* caught) {
  return std::string("Name:\tx\nPid:\t700\nNSpid:\t") + pids +
         "\nSigPnd:\t0000000000000000\nSigBlk:\t" + blocked +
         "\nSigIgn:\t0000000000000000\nSigCgt:\t" + caught + "\n";
}

constexpr char kNone[] = "0000000000000000";
constexpr char kTerm[] = "0000000000004000";  // bit 14: SIGTERM

TEST(StopSignal, IsLostOnAFirstProcessWithoutAHandler) {
  EXPECT_TRUE(loses_signal(status("700\t1", kNone, kNone), SIGTERM));
  EXPECT_TRUE(loses_signal(status("700\t30\t1", kNone, kNone), SIGTERM));
}

TEST(StopSignal, IsHeardWhereItIsCaughtOrBlockedOrTheProcessIsNoFirstOne) {
  EXPECT_FALSE(loses_signal(status("700\t1", kNone, kTerm), SIGTERM));
  EXPECT_FALSE(loses_signal(status("700\t1", kTerm, kNone), SIGTERM)) << "signalfd, sigwait";
  EXPECT_TRUE(loses_signal(status("700\t1", kTerm, kTerm), SIGINT));
  EXPECT_FALSE(loses_signal(status("700\t7", kNone, kNone), SIGTERM));
  EXPECT_FALSE(loses_signal(status("700", kNone, kNone), SIGTERM)) << "the host's namespace";
  EXPECT_FALSE(loses_signal("", SIGTERM));
}

TEST(StopSignal, NothingIsSaidOfAProcessThatIsGone) {
  EXPECT_FALSE(loses_signal(pid_t{0x7ffffff0}, SIGTERM));
  EXPECT_FALSE(loses_signal(getpid(), SIGTERM));
}

}  // namespace
