#include "registry/content_range.h"

#include <gtest/gtest.h>

namespace {

using registry::parse_content_range;

TEST(ContentRange, ReadsWhatServersSend) {
  const auto range = parse_content_range("bytes 500-1499/8000");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 500U);
  EXPECT_EQ(range->last, 1499U);
  EXPECT_EQ(range->total, 8000U);
  ASSERT_TRUE(parse_content_range("Bytes 0-0/1"));
  ASSERT_TRUE(parse_content_range("bytes 5-9/*"));
  EXPECT_EQ(parse_content_range("bytes 5-9/*")->total, std::nullopt);
  EXPECT_TRUE(parse_content_range("bytes 0-18446744073709551614/18446744073709551615"));
}

TEST(ContentRange, RefusesAnythingElse) {
  for (const char* text :
       {"", "bytes", "bytes ", "0-5/6", "bytes 5/6", "bytes 5-", "bytes 5-6", "bytes -5/6",
        "bytes 6-5/10", "bytes 0-10/10", "bytes */10", "bytes 0-5/", "bytes 0-5/x", "bytes +0-5/9",
        "bytes 0x0-5/9", "bytes 0-99999999999999999999/999999999999999999999", "items 0-5/9",
        "bytes 1 - 5/9", "bytes 0-5/6/7"}) {
    SCOPED_TRACE(text);
    EXPECT_FALSE(parse_content_range(text));
  }
}

TEST(ContentRange, Unsatisfied) {
  EXPECT_EQ(registry::parse_unsatisfied_range("bytes */8000"), 8000U);
  for (const char* text : {"", "bytes */", "bytes */*", "bytes 0-1/8000", "*/8000"}) {
    EXPECT_EQ(registry::parse_unsatisfied_range(text), std::nullopt) << text;
  }
}

TEST(ContentRange, Lengths) {
  EXPECT_EQ(registry::parse_length("0"), 0U);
  EXPECT_EQ(registry::parse_length("18446744073709551615"), 18446744073709551615U);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "1,1"}) {
    EXPECT_EQ(registry::parse_length(text), std::nullopt) << text;
  }
}

}  // namespace
