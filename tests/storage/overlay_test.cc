#include "storage/overlay.h"

#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using Paths = std::vector<fs::path>;

TEST(OverlayPlan, TopmostFirst) {
  const TempRoot root;
  const storage::Store store(root.store());
  const storage::OverlayPlan plan =
      storage::plan_overlay(store, {hex('1'), hex('2'), hex('3')}, "/c");
  EXPECT_EQ(plan.lower, (Paths{store.layer_dir(hex('3')), store.layer_dir(hex('2')),
                               store.layer_dir(hex('1'))}));
  EXPECT_EQ(plan.upper, "/c/upper");
  EXPECT_EQ(plan.work, "/c/work");
}

TEST(OverlayPlan, ARepeatedLayerIsUsedOnceWhereItIsHighest) {
  const TempRoot root;
  const storage::Store store(root.store());
  const storage::OverlayPlan plan =
      storage::plan_overlay(store, {hex('1'), hex('2'), hex('1')}, "/c");
  EXPECT_EQ(plan.lower, (Paths{store.layer_dir(hex('1')), store.layer_dir(hex('2'))}));
}

TEST(OverlayPlan, AnImageWithoutLayersHasAnEmptyOne) {
  const TempRoot root;
  const storage::Store store(root.store());
  const storage::OverlayPlan plan = storage::plan_overlay(store, {}, "/c");
  ASSERT_EQ(plan.lower.size(), 1U);
  EXPECT_TRUE(fs::is_empty(plan.lower[0]));
}

TEST(OverlayPlan, FiveHundredLayersAndNoMore) {
  const TempRoot root;
  const storage::Store store(root.store());
  EXPECT_EQ(
      storage::plan_overlay(store, std::vector<std::string>(500, hex('1')), "/c").lower.size(), 1U);
  const std::string text = error_of(base::ErrorKind::kInvalid, [&] {
    storage::plan_overlay(store, std::vector<std::string>(501, hex('1')), "/c");
  });
  EXPECT_NE(text.find("501"), std::string::npos);
}

}  // namespace
