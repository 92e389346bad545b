#include "oci/json.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "oci/json_value.h"
#include "oci/json_writer.h"
#include "tests/oci/refusal.h"

namespace {

std::string why(const std::string& text, const oci::JsonLimits& limits = {}) {
  return refusal_of([&] { oci::parse_json(text, limits); });
}

TEST(Json, GivesTheLibrarysTree) {
  const std::string text =
      R"( {"a":[1,-2,3.5,null,true,"ä\u0020\ud83d\ude00"],"b":{"":{}},"c":18446744073709551615} )";
  EXPECT_EQ(oci::parse_json(text), nlohmann::json::parse(text));
  EXPECT_EQ(oci::parse_json("7"), 7);
  for (const char* number : {"0.1", "-0", "-0.0", "1E5", "1.7976931348623157e308", "1e-400",
                             "4e-324", "9007199254740993.0", "123456789012345678901234567890"}) {
    EXPECT_EQ(oci::parse_json(number), nlohmann::json::parse(number)) << number;
  }
}

TEST(Json, SaysWhereItIsMalformed) {
  EXPECT_TRUE(why("{\n  \"a\": x}").starts_with("invalid JSON: line 2, column 8: ")) << why("{");
  EXPECT_TRUE(why("").starts_with("invalid JSON: line 1, column 1: ")) << why("");
  for (const char* text :
       {"{",           "[1,]",        "{\"a\":1,}", "{a:1}",    "1 2",
        "{} {}",       "nul",         "'a'",        "// c\n1",  "[01]",
        "[1e999]",     "[10e308]",    "[-99e307]",  "\"\xff\"", "\"\xed\xa0\x80\"",
        "\"\\ud800\"", "\"\\udc00\"", "\"\xc3\"",   "\xef\xbb", "\"a\nb\"",
        "NaN",         "\x1b[31m"}) {
    SCOPED_TRACE(text);
    const std::string said = why(text);
    EXPECT_TRUE(said.starts_with("invalid JSON: line ")) << said;
    EXPECT_EQ(said.find('\x1b'), std::string::npos) << said;
  }
}

TEST(Json, ReadsAllOfTheText) {
  EXPECT_EQ(why(std::string("{}\0", 3)), "invalid JSON: line 1, column 3: NUL character");
  EXPECT_EQ(why(std::string("[\"a\0\"]", 6)), "invalid JSON: line 1, column 4: NUL character");
  EXPECT_EQ(oci::parse_json("\xef\xbb\xbf[]"), nlohmann::json::array());  // a byte order mark
}

TEST(Json, RefusesRepeatedKeysAtEveryDepth) {
  EXPECT_EQ(why(R"({"a":1,"a":1})"), "invalid JSON: repeated key \"a\"");
  EXPECT_EQ(why(R"({"x":[{},{"b":{"a":1,"c":2,"\u0061":3}}]})"),
            "invalid JSON: x[1].b: repeated key \"a\"");
  std::string many = "{";
  for (int i = 0; i < 50; ++i) many += '"' + std::to_string(i % 49) + "\":{},";
  EXPECT_EQ(why(many + "\"z\":1}"), "invalid JSON: repeated key \"0\"");
  EXPECT_EQ(why("{\"\\u001b\":1,\"\\u001b\":1}"), "invalid JSON: repeated key \"\\x1b\"");
}

TEST(Json, RefusesNulInStringsAndKeys) {
  EXPECT_EQ(why(R"({"a":["x\u0000y"]})"), "invalid JSON: a: NUL character in a string");
  EXPECT_EQ(why(R"({"a\u0000":1})"), "invalid JSON: NUL character in a key");
}

TEST(Json, RefusesDepthAndSize) {
  const oci::JsonLimits limits{.bytes = 100, .depth = 3};
  EXPECT_EQ(oci::parse_json("[[[1]]]", limits).size(), 1U);
  EXPECT_EQ(why("[[[[1]]]]", limits), "invalid JSON: [0][0]: nested deeper than 3 levels");
  EXPECT_EQ(why(R"({"a":{"b":[{}]}})", limits), "invalid JSON: a.b: nested deeper than 3 levels");
  EXPECT_EQ(why(std::string(101, ' '), limits), "JSON larger than 100 bytes");
  why(std::string(2'000'000, '['));
  EXPECT_EQ(oci::parse_json("[1,{},[]]", {.values = 4}).size(), 3U);
  for (const char* text : {"[1,{},[],2]", "[1,{},[],{}]"}) {
    EXPECT_EQ(why(text, {.values = 4}), "invalid JSON: more than 4 values");
  }
  why(std::string(4U << 20U, '{'));
}

TEST(JsonValue, NamesThePlaceOfWhatIsWrong) {
  const oci::JsonDocument document(
      R"({"n":300,"m":-1,"s":"x","l":[1,"a"],"o":{"k":[{}]},"f":1.0,"big":18446744073709551615})");
  const oci::JsonValue root = document.root();
  const auto said = [](auto&& action) { return refusal_of(action); };
  EXPECT_EQ(said([&] { return root["n"].integer<std::uint8_t>(); }), "n: 300 is out of range");
  EXPECT_EQ(said([&] { return root["m"].integer<std::uint8_t>(); }), "m: -1 is negative");
  EXPECT_EQ(said([&] { return root["f"].integer<int>(); }), "f: must be an integer, not number");
  EXPECT_EQ(said([&] { return root["big"].integer<std::int64_t>(); }),
            "big: 18446744073709551615 is out of range");
  EXPECT_EQ(root["big"].integer<std::uint64_t>(), ~0ULL);
  EXPECT_EQ(oci::JsonDocument("-9223372036854775808").root().integer<std::int64_t>(), INT64_MIN);
  for (const char* text : {"-9223372036854775809", "18446744073709551616", "-0.0", "1e2"}) {
    const oci::JsonDocument number(text);
    EXPECT_EQ(said([&] { return number.root().integer<std::int64_t>(); }),
              "must be an integer, not number");
  }
  EXPECT_EQ(said([&] { return oci::JsonDocument("-0").root().integer<unsigned>(); }),
            "0 is negative");
  EXPECT_EQ(said([&] { return root["s"].boolean(); }), "s: must be true or false, not string");
  EXPECT_EQ(said([&] { return root["s"]["x"]; }), "s: must be an object, not string");
  EXPECT_EQ(said([&] { return root["s"].elements(); }), "s: must be an array, not string");
  EXPECT_EQ(said([&] { return root["none"].string(); }), "none: missing");
  EXPECT_EQ(said([&] { return root["o"]["k"].elements()[0]["x"].string(); }), "o.k[0].x: missing");
  std::vector<std::string> words;
  EXPECT_EQ(said([&] { root["l"].read(words); }), "l[0]: must be a string, not number");
  const oci::JsonDocument list("[1]");
  EXPECT_EQ(said([&] { return list.root()["a"]; }), "must be an object, not array");
}

TEST(JsonWriter, EscapesAndReplaces) {
  oci::JsonWriter json;
  json.begin_array().value("a\"b\\\n\x01").value("\xff\x80x").value(",{[:").value("").value(true);
  json.value(std::uint8_t{7}).value(std::int64_t{-5}).begin_object().end_object().end_array();
  EXPECT_EQ(json.take(), R"(["a\"b\\\n\u0001","��x",",{[:","",true,7,-5,{}])");
}

}  // namespace
