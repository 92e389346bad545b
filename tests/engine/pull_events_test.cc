#include "engine/pull_events.h"

#include <gtest/gtest.h>

namespace engine {
namespace {

TEST(PullEvents, ProgressAndResultAreDecoded) {
  std::vector<PullProgress> seen;
  PullEvents events([&](const PullProgress& progress) { seen.push_back(progress); });
  events.take(R"({"event":"downloading","layer":"abc","current":5,"total":10,"text":"t"})");
  events.take("not json");
  events.take(R"({"event":"done","layer":7,"current":-1})");
  events.take(R"({"event":"result","image":"sha256:1","digest":"sha256:2","changed":true})");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].kind, "downloading");
  EXPECT_EQ(seen[0].layer, "abc");
  EXPECT_EQ(seen[0].current, 5U);
  EXPECT_EQ(seen[1].current, 0U);
  const PullSummary summary = events.finish(0);
  EXPECT_EQ(summary.image_id, "sha256:1");
  EXPECT_TRUE(summary.changed);
}

TEST(PullEvents, ErrorsKeepTheirKind) {
  PullEvents events({});
  events.take(R"({"event":"error","kind":"unauthorized","message":"HTTP 401"})");
  try {
    events.finish(1);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUnauthorized);
    EXPECT_STREQ(error.what(), "HTTP 401");
  }
}

TEST(PullEvents, AHelperThatDiedIsAnError) {
  PullEvents silent({});
  EXPECT_THROW(silent.finish(0), base::Error);
  PullEvents killed({});
  killed.take(R"({"event":"result","image":"x"})");
  EXPECT_THROW(killed.finish(137), base::Error);
}

}  // namespace
}  // namespace engine
