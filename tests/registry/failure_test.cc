#include "registry/failure.h"

#include <gtest/gtest.h>

namespace {

using base::ErrorKind;
using registry::Failure;
using registry::Response;
using registry::Url;

Response answer(int status, std::string body = {}) {
  return {.url = Url::parse("https://registry.lan:5000/v2/"),
          .status = status,
          .headers = {},
          .body = std::move(body)};
}

TEST(FailureText, SpeaksAsDockerDoes) {
  const std::pair<const char*, const char*> kBodies[] = {
      {R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]})",
       "manifest unknown"},
      {R"({"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]})",
       "toomanyrequests: You have reached your pull rate limit."},
      {R"({"errors":[{"code":"DENIED"},{"code":"DENIED"},{"code":"UNAUTHORIZED","message":"no"}]})",
       "denied; unauthorized: no"},
      {R"({"details":"incorrect username or password"})", "incorrect username or password"},
      {R"({"error":"invalid_grant","error_description":"token expired"})", "token expired"},
      {R"({"message":"Bad\ncredentials\u001b]0;owned\u0007"})",
       "Bad credentials\\x1b]0;owned\\x07"},
      {R"({"errors":[{"code":7,"message":["x"]}]})",
       "registry.lan:5000: HTTP 429 Too Many Requests"},
      {R"({"errors":"x"})", "registry.lan:5000: HTTP 429 Too Many Requests"},
      {R"({"errors":[)", "registry.lan:5000: HTTP 429 Too Many Requests"},
      {"<html>no</html>", "registry.lan:5000: HTTP 429 Too Many Requests"},
      {"", "registry.lan:5000: HTTP 429 Too Many Requests"},
  };
  for (const auto& [body, expected] : kBodies) {
    SCOPED_TRACE(body);
    EXPECT_EQ(describe(answer(429, body)), expected);
  }
}

TEST(FailureText, IsOneShortLineWhateverTheBody) {
  std::string message(100'000, 'a');
  for (std::size_t i = 0; i < message.size(); i += 7) message[i] = '\n';
  std::string body = R"({"errors":[)";
  for (int i = 0; i < 50; ++i) body += R"({"code":")" + std::to_string(i) + R"("},)";
  body += R"({"message":"x"}]})";
  for (const std::string& text : {body, R"({"message":")" + std::string(100'000, 'a') + R"("})"}) {
    const std::string line = describe(answer(500, text));
    EXPECT_LT(line.size(), 1000U);
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
}

TEST(FailureText, KindsFollowStatusAndCause) {
  const std::pair<int, ErrorKind> kStatuses[] = {
      {400, ErrorKind::kInvalid},      {401, ErrorKind::kUnauthorized},
      {403, ErrorKind::kUnauthorized}, {404, ErrorKind::kNotFound},
      {405, ErrorKind::kInvalid},      {408, ErrorKind::kUnavailable},
      {429, ErrorKind::kUnavailable},  {500, ErrorKind::kUnavailable},
      {503, ErrorKind::kUnavailable}};
  for (const auto& [status, kind] : kStatuses) EXPECT_EQ(kind_of(answer(status)), kind) << status;
  Response broken = answer(200);
  broken.failure = Failure::kBroken;
  broken.cause = "cut";
  EXPECT_EQ(kind_of(broken), ErrorKind::kUnavailable);
  EXPECT_EQ(describe(broken), "cut");
  broken.failure = Failure::kRefused;
  EXPECT_EQ(kind_of(broken), ErrorKind::kInvalid);
}

}  // namespace
