#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/cache_budget.h"
#include "engine/cache_prune.h"

namespace {

using engine::CacheBudget;
using engine::ImageUse;
using engine::PruneWhich;

constexpr base::Nanoseconds kSecond = 1'000'000'000;

oci::ImageId id_of(char digit) { return oci::ImageId::from_hex(std::string(64, digit)); }

storage::ImageRow image(char digit, base::Nanoseconds created = 0,
                        const std::string& labels = "{}") {
  return {
      .id = id_of(digit),
      .manifest_digest = oci::Digest::from_hex(std::string(64, digit)),
      .config = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},)"
                R"("config":{"Labels":)" +
                labels + "}}",
      .created = created};
}

std::string planned(const std::vector<oci::ImageId>& plan) {
  std::string digits;
  for (const oci::ImageId& id : plan) digits += id.hex().front();
  return digits;
}

TEST(CachePrune, TakesWhatHasNoTagOrNoContainer) {
  const std::vector<storage::ImageRow> images = {image('a'), image('b'), image('c'), image('d')};
  const std::vector<storage::ImageName> names = {
      {.repository = "docker.io/library/x", .tag = "1", .digest = {}, .image = id_of('a')},
      {.repository = "docker.io/library/x",
       .tag = "",
       .digest = oci::Digest::from_hex(std::string(64, 'b')),
       .image = id_of('b')}};
  const std::vector<storage::ContainerRow> containers = {
      {.id = "1", .name = "one", .image = id_of('c'), .image_name = "c"}};
  EXPECT_EQ(planned(plan_image_prune(images, names, containers, PruneWhich::kDangling, {})), "bd");
  EXPECT_EQ(planned(plan_image_prune(images, names, containers, PruneWhich::kAll, {})), "abd");
}

TEST(CachePrune, Filters) {
  const std::vector<storage::ImageRow> images = {
      image('a', 10 * kSecond, R"({"stage":"test","keep":"yes"})"),
      image('b', 20 * kSecond, R"({"stage":"build"})"), image('c', 30 * kSecond)};
  const auto prune = [&](const std::vector<std::string>& filters) {
    return planned(plan_image_prune(images, {}, {}, PruneWhich::kAll,
                                    engine::parse_prune_filter(filters, 100 * kSecond)));
  };
  EXPECT_EQ(prune({}), "abc");
  EXPECT_EQ(prune({"until=75s"}), "ab");
  EXPECT_EQ(prune({"until=20"}), "a");
  EXPECT_EQ(prune({"until=1970-01-01T00:00:15Z"}), "a");
  EXPECT_EQ(prune({"until=1970-01-02"}), "abc");
  EXPECT_EQ(prune({"label=stage"}), "ab");
  EXPECT_EQ(prune({"label=stage=test"}), "a");
  EXPECT_EQ(prune({"label!=stage=test"}), "bc");
  EXPECT_EQ(prune({"label=stage", "label!=keep"}), "b");
  for (const char* filter : {"dangling=true", "until=yesterday", "label", "reference=x"}) {
    EXPECT_THROW(prune({filter}), base::Error) << filter;
  }
}

TEST(CacheBudget, TakesTheLeastRecentlyUsedAndNeverWhatIsUsed) {
  const std::vector<ImageUse> images = {
      {.id = id_of('a'), .used = 5, .bytes = 100},
      {.id = id_of('b'), .used = 3, .bytes = 100},
      {.id = id_of('c'), .used = 1, .has_container = true, .bytes = 100},
      {.id = id_of('d'), .used = 2, .has_tag = true, .bytes = 100},
      {.id = id_of('e'), .used = 4, .has_tag = true, .bytes = 100}};
  CacheBudget budget = {.max_bytes = 1};
  EXPECT_EQ(planned(plan_budget(images, budget, 0, 10)), "");
  EXPECT_EQ(planned(plan_budget(images, budget, 1, 10)), "b");
  EXPECT_EQ(planned(plan_budget(images, budget, 101, 10)), "ba");
  EXPECT_EQ(planned(plan_budget(images, budget, 1000, 10)), "ba");
  budget.remove_tagged_unused = true;
  EXPECT_EQ(planned(plan_budget(images, budget, 250, 10)), "bad");
  EXPECT_EQ(planned(plan_budget(images, budget, 1000, 10)), "bade");
  EXPECT_EQ(planned(plan_budget(images, {.max_age = 6}, 0, 10)), "b");
}

TEST(CacheBudget, IsWrittenAsWordsAndRead) {
  const CacheBudget budget = {.max_bytes = 7, .max_age = 8, .remove_tagged_unused = true};
  const CacheBudget read = engine::parse_budget(engine::render_budget(budget));
  EXPECT_EQ(read.max_bytes, 7U);
  EXPECT_EQ(read.max_age, 8);
  EXPECT_TRUE(read.remove_tagged_unused);
  EXPECT_FALSE(engine::parse_budget(engine::render_budget({})).is_set());
  EXPECT_THROW(engine::parse_budget({"--max-bytes"}), base::Error);
  EXPECT_THROW(engine::parse_budget({"--max-bytes", "7x"}), base::Error);
}

}  // namespace
