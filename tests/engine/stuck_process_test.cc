#include "engine/stuck_process.h"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace engine {
namespace {

constexpr base::Nanoseconds kSecond = 1'000'000'000;

ProcessLook sleeping(const char* trace) {
  ProcessLook look;
  look.trace = trace;
  return look;
}

TEST(Stillness, GrowsWhileNobodyRuns) {
  Stillness stillness;
  stillness.note(sleeping("12 D 7 8"), 10 * kSecond);
  EXPECT_EQ(stillness.length(), 0);
  stillness.note(sleeping("12 D 7 8"), 11 * kSecond);
  stillness.note(sleeping("12 D 7 8"), 12 * kSecond);
  EXPECT_EQ(stillness.length(), 2 * kSecond);
  EXPECT_EQ(stillness.length_since(11 * kSecond), kSecond);
  EXPECT_EQ(stillness.length_since(5 * kSecond), 2 * kSecond);
}

TEST(Stillness, BeginsAnewWhenSomebodyHasRunOrIsRunning) {
  Stillness stillness;
  stillness.note(sleeping("12 D 7 8"), 10 * kSecond);
  stillness.note(sleeping("12 D 8 8"), 12 * kSecond);
  EXPECT_EQ(stillness.length(), 0);
  ProcessLook running = sleeping("12 R 8 8");
  running.is_running = true;
  stillness.note(running, 13 * kSecond);
  stillness.note(running, 15 * kSecond);
  EXPECT_EQ(stillness.length(), 0);
}

TEST(ProcessLook, SeesWhoRunsAndWhoIsStopped) {
  const ProcessLook self = look_at_processes({getpid()}, Descendants::kNo);
  EXPECT_TRUE(self.is_running);
  EXPECT_FALSE(self.is_stopped);
  EXPECT_TRUE(self.stuck.empty());
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  kill(child, SIGSTOP);
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  EXPECT_TRUE(look_at_processes({getpid()}, Descendants::kYes).is_stopped);
  EXPECT_FALSE(look_at_processes({getpid()}, Descendants::kNo).is_stopped);
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  EXPECT_TRUE(look_at_processes({child}, Descendants::kYes).trace.empty());
}

}  // namespace
}  // namespace engine
