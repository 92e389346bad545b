#include "registry/challenge.h"

#include <gtest/gtest.h>

namespace {

using registry::Challenge;

using Parameters = std::map<std::string, std::string>;
struct Expected {
  std::string scheme;
  Parameters parameters;
};

TEST(Challenge, ReadsWhatRegistriesSend) {
  const std::string scopes = "repository:a:pull repository:b:pull,push";
  const std::pair<std::vector<std::string>, std::vector<Expected>> kCases[] = {
      {{R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io")"},
       {{"bearer",
         {{"realm", "https://auth.docker.io/token"}, {"service", "registry.docker.io"}}}}},
      {{"bEaReR REALM=\"https://h\" , Scope=\"" + scopes + "\""},
       {{"bearer", {{"realm", "https://h"}, {"scope", scopes}}}}},
      {{R"(Basic realm="a \"b\", c\\d")"}, {{"basic", {{"realm", R"(a "b", c\d)"}}}}},
      {{R"(Basic realm="x", Bearer realm="https://h",error="invalid_token")"},
       {{"basic", {{"realm", "x"}}},
        {"bearer", {{"realm", "https://h"}, {"error", "invalid_token"}}}}},
      {{"Negotiate", R"(Basic realm="x")"}, {{"negotiate", {}}, {"basic", {{"realm", "x"}}}}},
      {{R"(Negotiate, Basic realm="x")"}, {{"negotiate", {}}, {"basic", {{"realm", "x"}}}}},
      {{"Bearer realm=https://h/t?a=b,service=s"},
       {{"bearer", {{"realm", "https://h/t?a=b"}, {"service", "s"}}}}},
      {{R"(Bearer realm = "https://h" ,, service = "s")"},
       {{"bearer", {{"realm", "https://h"}, {"service", "s"}}}}},
      {{R"(Bearer realm="https://h",realm="https://evil")"},
       {{"bearer", {{"realm", "https://h"}}}}},
      {{R"(Bearer realm="https://h,service="s")"},  // a quote is missing: nothing to rely on
       {{"bearer", {{"realm", "https://h,service="}}}, {"s", {}}}},
      {{R"(Bearer realm="https://h)"}, {{"bearer", {{"realm", "https://h"}}}}},
      {{R"(Bearer realm="x\)"}, {{"bearer", {{"realm", "x\\"}}}}},
      {{"", ",,, ,", "==="}, {}},
      {{"Basic"}, {{"basic", {}}}},
  };
  for (const auto& [headers, expected] : kCases) {
    SCOPED_TRACE(testing::PrintToString(headers));
    const auto challenges = registry::parse_challenges(headers);
    ASSERT_EQ(challenges.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(challenges[i].scheme, expected[i].scheme);
      EXPECT_EQ(challenges[i].parameters, expected[i].parameters);
    }
  }
}

TEST(Challenge, PrefersBearer) {
  const auto best = [](std::vector<std::string> headers) {
    const auto challenges = registry::parse_challenges(headers);
    const Challenge* found = registry::find_best(challenges);
    return found == nullptr ? std::string() : found->scheme;
  };
  EXPECT_EQ(best({"Basic realm=x", "Bearer realm=y"}), "bearer");
  EXPECT_EQ(best({"Basic realm=x", "Bearer service=y"}), "basic");  // no server to ask
  EXPECT_EQ(best({"Digest realm=x", "NTLM"}), "");
  EXPECT_EQ(best({}), "");
}

TEST(Challenge, SurvivesAnything) {
  unsigned state = 1;
  const std::string alphabet = "Bearer Basic=\",\\ \t:/realm\x01\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525U + 1013904223U;
      text += alphabet[(state >> 16U) % alphabet.size()];
    }
    registry::parse_challenges({text});
  }
  EXPECT_LE(registry::parse_challenges({std::string(1 << 20, ',')}).size(), 16U);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "a, ";
  EXPECT_LE(registry::parse_challenges({many}).size(), 16U);
}

TEST(Challenge, SplitsScopesAtSpacesOnly) {
  using Scopes = std::vector<std::string>;
  EXPECT_EQ(registry::split_scopes("repository:h:5000/a:pull  repository:b:pull,push "),
            (Scopes{"repository:b:pull,push", "repository:h:5000/a:pull"}));
  EXPECT_EQ(registry::split_scopes("a a"), Scopes{"a"});
  EXPECT_EQ(registry::split_scopes(" "), Scopes{});
}

}  // namespace
