#include "base/text.h"

#include <string>

#include <gtest/gtest.h>

namespace {

using base::printable;

TEST(Text, LeavesWordsOfAnyLanguageAlone) {
  for (const char* text : {"", "plain", "ünï çødé", "漢字", "😀", "a\"b\\c"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Text, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(printable("a\nb\tc\r\x7f"), "a\\x0ab\\x09c\\x0d\\x7f");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // CSI as one C1 character
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");
}

TEST(Text, KnowsWhatIsText) {
  for (const char* text : {"", "abc\n", "é€😀"}) EXPECT_TRUE(base::is_utf8(text)) << text;
  for (const char* bytes : {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(base::is_utf8(bytes)) << base::printable(bytes);
  }
}

TEST(Text, EscapesBytesThatAreNotText) {
  const std::pair<const char*, const char*> table[] = {
      {"\xff", "\\xff"},
      {"\x80", "\\x80"},
      {"\xc3", "\\xc3"},
      {"\xc3(", "\\xc3("},
      {"\xc0\xaf", "\\xc0\\xaf"},                    // overlong
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // a surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"\xe2\x82", "\\xe2\\x82"},
      {"\xf0\x9f\x98", "\\xf0\\x9f\\x98"},
  };
  for (const auto& [text, shown] : table) EXPECT_EQ(printable(text), shown);
}

TEST(Text, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 5), "abcde…");
  EXPECT_EQ(printable("aää", 4), "aä…");
  EXPECT_EQ(printable("abc", 0), "…");
  EXPECT_LT(printable(std::string(1'000'000, '\x01')).size(), 1000U);
}

}  // namespace
