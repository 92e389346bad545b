#include "registry/token.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using registry::Credentials;
using registry::Method;
using registry::Request;
using registry::Token;
using registry::TokenServer;
using registry::Url;
using std::chrono::seconds;

const std::vector<std::string> kScopes = {"repository:a:pull", "repository:b:pull,push"};

TokenServer server(const char* realm = "https://auth.lan/token?tenant=x") {
  return {.realm = Url::parse(realm), .service = "registry.lan"};
}

TEST(TokenRequest, RepeatsScopesAndKeepsTheRealmsQuery) {
  const Request request = registry::render_token_requests(server(), kScopes, std::nullopt).front();
  EXPECT_EQ(request.method, Method::kGet);
  EXPECT_EQ(request.url.str(),
            "https://auth.lan/token?tenant=x&service=registry.lan&scope=repository%3Aa%3Apull&"
            "scope=repository%3Ab%3Apull%2Cpush");
  EXPECT_EQ(request.authorization, "");
  const Request bare =
      registry::render_token_requests(
          {.realm = Url::parse("https://auth.lan/token"), .service = {}}, {}, std::nullopt)
          .front();
  EXPECT_EQ(bare.url.str(), "https://auth.lan/token");
}

TEST(TokenRequest, AuthenticatesWithAPassword) {
  const Credentials credentials{.username = "Aladdin", .password = "open sesame"};
  const Request request = registry::render_token_requests(server(), {"s"}, credentials).front();
  EXPECT_EQ(request.authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617's example
  EXPECT_TRUE(request.url.target.ends_with("&account=Aladdin&client_id=sampan"));
}

TEST(TokenRequest, AnIdentityTokenIsPostedAndNeverAPassword) {
  const Credentials credentials{.username = "u", .password = "p", .identity_token = "a&b"};
  const Request request = registry::render_token_requests(server(), kScopes, credentials).front();
  EXPECT_EQ(request.method, Method::kPost);
  EXPECT_EQ(request.url, server().realm);
  EXPECT_EQ(request.authorization, "");
  EXPECT_EQ(request.form,
            "grant_type=refresh_token&client_id=sampan&refresh_token=a%26b&service=registry.lan&"
            "scope=repository%3Aa%3Apull%20repository%3Ab%3Apull%2Cpush");
}

TEST(TokenAnswer, Lifetimes) {
  const std::time_t now = 1'700'000'000;  // 2023-11-14T22:13:20Z
  const struct {
    const char *body, *token;
    int seconds;
  } kCases[] = {
      {R"({"token": "t"})", "t", 60},
      {R"({"access_token": "a"})", "a", 60},
      {R"({"token": "t", "access_token": "a", "expires_in": 300})", "t", 300},
      {R"({"token": "", "access_token": "a"})", "a", 60},
      {R"({"token": "t", "expires_in": 5})", "t", 60},
      {R"({"token": "t", "expires_in": -1})", "t", 60},
      {R"({"token": "t", "expires_in": 9223372036854775807})", "t", 86400},
      {R"({"token": "t", "expires_in": 300, "issued_at": "2023-11-14T22:11:20Z"})", "t", 180},
      {R"({"token": "t", "expires_in": 300, "issued_at": "2020-01-01T00:00:00Z"})", "t", 300},
      {R"({"token": "t", "expires_in": 300, "issued_at": "2099-01-01T00:00:00Z"})", "t", 300},
      {R"({"token": "t", "expires_in": 300, "issued_at": "yesterday"})", "t", 300},
      {R"({"token": "t", "expires_in": null, "issued_at": null, "new": {"x": []}})", "t", 60},
  };
  for (const auto& [body, value, lifetime] : kCases) {
    SCOPED_TRACE(body);
    const Token token = registry::parse_token(body, now);
    EXPECT_EQ(token.value, value);
    EXPECT_EQ(token.lifetime, seconds(lifetime));
  }
}

TEST(TokenAnswer, RefusesWhatIsNoToken) {
  for (const char* body :
       {"", "{}", "[]", "null", R"({"token": 1})", R"({"token": ""})", R"({"token": "a b"})",
        R"({"token": "a\r\nX-Evil: 1"})", R"({"token": "a\u0000b"})", R"({"token": "t)",
        R"({"token": "a", "token": "b"})", R"({"token": "t", "expires_in": "soon"})"}) {
    SCOPED_TRACE(body);
    EXPECT_THROW(registry::parse_token(body, 0), base::Error);
  }
}

class TokenCacheTest : public testing::Test {
 protected:
  Token fetch() { return {.value = "t" + std::to_string(++fetches_), .lifetime = seconds(60)}; }
  std::string obtain(const std::string& key, const std::string& rejected = {}) {
    return cache_.obtain(key, rejected, [this] { return fetch(); });
  }

  std::atomic<int> fetches_ = 0;
  registry::TokenCache::Clock::time_point now_{};
  registry::TokenCache cache_{[this] { return now_; }};
};

TEST_F(TokenCacheTest, KeepsATokenUntilShortlyBeforeItsEnd) {
  EXPECT_EQ(cache_.find("k"), std::nullopt);
  EXPECT_EQ(obtain("k"), "t1");
  now_ += seconds(50);
  EXPECT_EQ(obtain("k"), "t1");
  EXPECT_EQ(cache_.find("k"), "t1");
  EXPECT_EQ(obtain("other"), "t2");
  now_ += seconds(6);
  EXPECT_EQ(cache_.find("k"), std::nullopt);
  EXPECT_EQ(obtain("k"), "t3");
}

TEST_F(TokenCacheTest, RenewsARejectedTokenOnce) {
  EXPECT_EQ(obtain("k"), "t1");
  EXPECT_EQ(obtain("k", "t1"), "t2");
  EXPECT_EQ(obtain("k", "t1"), "t2");  // another thread that was refused with the old one
}

TEST_F(TokenCacheTest, AFailedFetchLeavesNothing) {
  EXPECT_THROW(cache_.obtain("k", "", []() -> Token { throw std::runtime_error("x"); }),
               std::runtime_error);
  EXPECT_EQ(obtain("k"), "t1");
}

TEST_F(TokenCacheTest, ManyThreadsFetchOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const std::string token = cache_.obtain("k", "", [this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return fetch();
      });
      same += token == "t1" ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fetches_, 1);
  EXPECT_EQ(same, 16);
}

}  // namespace
