#include "engine/helper_events.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace engine {
namespace {

TEST(HelperEvents, ProgressAndResultAreDecoded) {
  std::vector<PullProgress> seen;
  HelperEvents events([&](const PullProgress& progress) { seen.push_back(progress); });
  events.take(R"({"event":"downloading","layer":"abc","current":5,"total":10,"text":"t"})");
  events.take("not json");
  events.take(R"({"event":"done","layer":7,"current":-1})");
  events.take(R"({"event":"result","image":"sha256:1","digest":"sha256:2","changed":true})");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].kind, "downloading");
  EXPECT_EQ(seen[0].layer, "abc");
  EXPECT_EQ(seen[0].current, 5U);
  EXPECT_EQ(seen[1].current, 0U);
  const PullSummary summary = to_pull_summary(events.finish(0));
  EXPECT_EQ(summary.image_id, "sha256:1");
  EXPECT_TRUE(summary.changed);
}

TEST(HelperEvents, ErrorsKeepTheirKind) {
  HelperEvents events({});
  events.take(R"({"event":"error","kind":"unauthorized","message":"HTTP 401"})");
  try {
    events.finish(1);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUnauthorized);
    EXPECT_STREQ(error.what(), "HTTP 401");
  }
}

TEST(HelperEvents, AHelperThatDiedIsAnError) {
  HelperEvents silent({});
  EXPECT_THROW(silent.finish(0), base::Error);
  HelperEvents killed({});
  killed.take(R"({"event":"result","image":"x"})");
  EXPECT_THROW(killed.finish(137), base::Error);
}

}  // namespace
}  // namespace engine
