#include "base/trace.h"

#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

struct Seen {
  std::string room, text;
  base::Nanoseconds duration;
};

class Trace : public testing::Test {
 protected:
  void listen() {
    base::set_trace_sink([this](const base::TraceEvent& event) {
      seen_.push_back({std::string(event.room), std::string(event.text), event.duration});
    });
  }
  void TearDown() override { base::set_trace_sink(nullptr); }
  std::vector<Seen> seen_;
};

TEST_F(Trace, IsSilentUnlessAsked) {
  EXPECT_FALSE(base::is_tracing());
  base::trace("storage", "x");
  base::emit_trace({.room = "storage", .text = "x"});
  { const base::TraceStep step("storage", "x"); }
}

TEST_F(Trace, TellsDecisionsAndTimedSteps) {
  listen();
  EXPECT_TRUE(base::is_tracing());
  base::trace("network", "decided");
  {
    const base::TraceStep outer("runtime", "outer");
    const base::TraceStep inner("runtime", "inner");
  }
  base::emit_trace({.room = "engine", .text = "told", .duration = 7});
  ASSERT_EQ(seen_.size(), 4U);
  EXPECT_EQ(seen_[0].room, "network");
  EXPECT_EQ(seen_[0].text, "decided");
  EXPECT_EQ(seen_[0].duration, -1);
  EXPECT_EQ(seen_[1].text, "inner");
  EXPECT_EQ(seen_[2].text, "outer");
  EXPECT_GE(seen_[1].duration, 0);
  EXPECT_GE(seen_[2].duration, seen_[1].duration);
  EXPECT_EQ(seen_[3].duration, 7);
}

TEST_F(Trace, AFailingSinkDoesNotEndTheStep) {
  base::set_trace_sink([](const base::TraceEvent&) { throw std::runtime_error("full"); });
  { const base::TraceStep step("storage", "x"); }
}

}  // namespace
