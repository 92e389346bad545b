#include "engine/statistics.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

TEST(Statistics, AddsUpTheLinksButTheLoopback) {
  const auto bytes = engine::parse_link_bytes(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
      "    lo:  900       1    0    0    0     0          0         0      900       1\n"
      "  eth0:  100       2    0    0    0     0          0         0       30       1\n"
      "eth1:5 2 0 0 0 0 0 0 7 1\n");
  EXPECT_EQ(bytes.received, 105U);
  EXPECT_EQ(bytes.sent, 37U);
  EXPECT_EQ(engine::parse_link_bytes("").received, 0U);
}

TEST(Statistics, CountsProcessorTimeBetweenTwoSamples) {
  engine::UsageSample before;
  engine::UsageSample after;
  after.time = 2'000'000'000;
  after.cpu = 1'000'000'000;
  EXPECT_DOUBLE_EQ(engine::cpu_percent(before, after), 50.0);
  EXPECT_DOUBLE_EQ(engine::cpu_percent(after, after), 0.0);
  EXPECT_DOUBLE_EQ(engine::cpu_percent(after, before), 0.0) << "started anew meanwhile";
}

TEST(Statistics, PicksRowsByProcessAndKeepsTheRestOfALine) {
  const auto table = engine::pick_processes(
      "UID   PID CMD\nroot   10 sh -c  two  words\nroot  11 other\nx y z\nroot 12\n", {10, 12});
  EXPECT_EQ(table.titles, (std::vector<std::string>{"UID", "PID", "CMD"}));
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0], (std::vector<std::string>{"root", "10", "sh -c  two  words"}));
  EXPECT_EQ(table.rows[1], (std::vector<std::string>{"root", "12", ""}));
  EXPECT_THROW(engine::pick_processes("UID CMD\nroot x\n", {1}), base::Error);
}

}  // namespace
