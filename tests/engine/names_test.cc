#include "engine/names.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

TEST(Names, FollowDockersGrammar) {
  for (const char* good : {"ab", "web-1", "A.b_c", "0x"})
    EXPECT_EQ(parse_container_name(good), good);
  EXPECT_EQ(parse_container_name("/web"), "web");
  for (const char* bad : {"", "/", "//ab", "a", "-ab", "_a", ".a", "a b", "a/b", "ä", "a\n"}) {
    EXPECT_THROW(parse_container_name(bad), base::Error) << bad;
  }
}

TEST(Names, MadeUpOnesAreGoodAndDifferByAttempt) {
  for (std::uint64_t number = 0; number < 100000; number += 37) {
    EXPECT_NO_THROW(parse_container_name(plan_name(number, 0)));
  }
  EXPECT_EQ(plan_name(7, 0), plan_name(7, 0));
  EXPECT_NE(plan_name(7, 0), plan_name(7, 1));
  EXPECT_NE(plan_name(7, 1), plan_name(7, 2));
}

}  // namespace
}  // namespace engine
