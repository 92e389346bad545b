// Annotations that become properties of a systemd unit.
#include <bit>

#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/systemd.h"

namespace runtime {
namespace {

BusProperty parse(const std::string& name, const std::string& value) {
  return parse_unit_annotations({{"org.systemd.property." + name, value}}).at(0);
}

std::string why(const std::string& name, const std::string& value) {
  try {
    parse(name, value);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    return error.what();
  }
  return {};
}

TEST(SystemdAnnotations, NumbersHaveTheirTypes) {
  const struct {
    const char* text;
    const char* type;
    std::uint64_t number;
  } cases[] = {{"5", "i", 5},
               {"-5", "i", ~0ULL - 4},
               {"uint64 5", "t", 5},
               {"@u 0x10", "u", 16},
               {"byte 255", "y", 255},
               {"int16 -32768", "n", ~0ULL - 32767},
               {"uint64 18446744073709551615", "t", ~0ULL},
               {"int64 -9223372036854775808", "x", 1ULL << 63U},
               {"true", "b", 1},
               {"boolean false", "b", 0},
               {"010", "i", 8},
               {"2.5", "d", std::bit_cast<std::uint64_t>(2.5)},
               {"double 3", "d", std::bit_cast<std::uint64_t>(3.0)}};
  for (const auto& each : cases) {
    SCOPED_TRACE(each.text);
    const BusProperty property = parse("Some", each.text);
    EXPECT_EQ(property.type, each.type);
    EXPECT_EQ(property.number, each.number);
  }
}

TEST(SystemdAnnotations, TextsAndArrays) {
  EXPECT_EQ(parse("CollectMode", "'inactive-or-failed'"),
            (BusProperty{.name = "CollectMode", .type = "s", .text = "inactive-or-failed"}));
  EXPECT_EQ(parse("Description", R"("it's \"so\"")").text, "it's \"so\"");
  EXPECT_EQ(parse("Path", "objectpath '/a'").type, "o");
  EXPECT_EQ(parse("After", "['a.service', \"b.service\"]"),
            (BusProperty{.name = "After", .type = "as", .texts = {"a.service", "b.service"}}));
  EXPECT_EQ(parse("Numbers", "[uint32 1, 2]"),
            (BusProperty{.name = "Numbers", .type = "au", .numbers = {1, 2}}));
  EXPECT_EQ(parse("After", "@as []").type, "as");
}

TEST(SystemdAnnotations, SecondsBecomeMicroseconds) {
  for (const char* text : {"2", "uint32 2", "2.0", "uint64 2"}) {
    EXPECT_EQ(parse("TimeoutStopSec", text),
              (BusProperty{.name = "TimeoutStopUSec", .type = "t", .number = 2'000'000}));
  }
  EXPECT_EQ(parse("TimeoutStopSec", "0.25").number, 250'000U);
  EXPECT_EQ(parse("TimeoutStopUSec", "uint64 7").number, 7U);
  EXPECT_NE(why("TimeoutStopSec", "-1"), "");
  EXPECT_NE(why("TimeoutStopSec", "'soon'"), "");
}

TEST(SystemdAnnotations, OtherAnnotationsAreNoProperties) {
  EXPECT_TRUE(
      parse_unit_annotations({{"org.other", "x"}, {"org.systemd.properties", "x"}}).empty());
}

TEST(SystemdAnnotations, RefusesByName) {
  for (const char* text : {"",
                           "word",
                           "'open",
                           "5 6",
                           "uint32 -1",
                           "byte 256",
                           "int32 2147483648",
                           "@as 5",
                           "[1 2]",
                           "[1, 'a']",
                           "[]",
                           "[[1]]",
                           "(1, 2)",
                           "{'a': 1}",
                           "uint64 'a'",
                           "string 5",
                           "@q",
                           "1x",
                           "99999999999999999999",
                           "'a\\q'",
                           "boolean 1",
                           "['a',"}) {
    SCOPED_TRACE(text);
    EXPECT_NE(why("Some", text).find("org.systemd.property.Some"), std::string::npos);
  }
  for (const char* name : {"", "a", "Has.Dot", "With-Dash", "N1mbers"}) {
    EXPECT_NE(why(name, "1").find("no name of a property"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace runtime
