#include "cli/filters.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/arguments.h"

namespace {

using cli::Filters;

Filters make(const std::vector<std::string>& texts) { return Filters("ps", texts); }

TEST(Filters, ValuesOfOneKeyAreAlternativesAndKeysMustAllHold) {
  const Filters filters = make({"name=a", "name=b", "status=up"});
  const auto with = [&](const std::string& name, const std::string& status) {
    return filters.match([&](const std::string& key, const std::string& value) {
      return value == (key == "name" ? name : status);
    });
  };
  EXPECT_TRUE(with("a", "up"));
  EXPECT_TRUE(with("b", "up"));
  EXPECT_FALSE(with("c", "up"));
  EXPECT_FALSE(with("a", "down"));
  EXPECT_TRUE(make({}).match([](const auto&, const auto&) { return false; }));
}

TEST(Filters, LabelsMustAllHold) {
  const Filters filters = make({"label=a", "label=b"});
  EXPECT_FALSE(filters.match([](const auto&, const std::string& value) { return value == "a"; }));
  EXPECT_TRUE(filters.match([](const auto&, const auto&) { return true; }));
}

TEST(Filters, RefusesInDockersWords) {
  EXPECT_THROW(make({"bogus=1"}), base::Error);
  try {
    make({"noequals"});
    FAIL();
  } catch (const cli::UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("bad format of filter (expected name=value)"),
              std::string::npos);
  }
  EXPECT_EQ(make({"name=a=b"}).values("name"), std::vector<std::string>{"a=b"});
  EXPECT_TRUE(make({"status="}).has("status"));
}

TEST(Filters, MatchesLabels) {
  EXPECT_TRUE(cli::matches_label_text(R"({"a":"b"})", "a"));
  EXPECT_TRUE(cli::matches_label_text(R"({"a":"b"})", "a=b"));
  EXPECT_FALSE(cli::matches_label_text(R"({"a":"b"})", "a=c"));
  EXPECT_FALSE(cli::matches_label_text("{}", "a"));
  EXPECT_FALSE(cli::matches_label_text("", "a"));
}

}  // namespace
