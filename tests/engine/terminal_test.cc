#include "engine/terminal.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

TEST(DetachKeys, AreBytes) {
  EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(parse_detach_keys("a,ctrl-[,ctrl-_"), std::string("a\x1b\x1f"));
  EXPECT_EQ(parse_detach_keys("ctrl-@"), std::string(1, '\0'));
  EXPECT_EQ(parse_detach_keys(""), "");
  for (const char* bad : {"ctrl-", "ctrl-P", "control-p", "ab", "a,,b"}) {
    EXPECT_THROW(parse_detach_keys(bad), base::Error) << bad;
  }
}

TEST(DetachWatch, PassesOnWhatIsNotTheKeys) {
  DetachWatch watch("\x10\x11");
  bool detached = false;
  EXPECT_EQ(watch.filter("abc\x10", detached), "abc");  // may be the beginning
  EXPECT_EQ(watch.filter("d", detached),
            "\x10"
            "d");                                         // it was not
  EXPECT_EQ(watch.filter("\x10\x10", detached), "\x10");  // the second may be
  EXPECT_FALSE(detached);
  EXPECT_EQ(watch.filter("\x11lost", detached), "");
  EXPECT_TRUE(detached);
}

TEST(DetachWatch, OneKeyIsEnough) {
  DetachWatch watch("q");
  bool detached = false;
  EXPECT_EQ(watch.filter("xq", detached), "x");
  EXPECT_TRUE(detached);
}

TEST(DetachWatch, WithoutKeysEverythingPasses) {
  DetachWatch watch("");
  bool detached = false;
  EXPECT_EQ(watch.filter("\x10\x11", detached), "\x10\x11");
  EXPECT_FALSE(detached);
}

}  // namespace
}  // namespace engine
