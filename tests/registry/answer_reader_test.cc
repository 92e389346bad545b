#include "registry/answer_reader.h"

#include <gtest/gtest.h>

namespace {

using registry::AnswerReader;
using registry::Failure;
using registry::Request;
using registry::Response;
using registry::Url;

class Receiver : public registry::BodyReceiver {
 public:
  bool begin(const Response& head) override {
    ++begun;
    status = head.status;
    return wants;
  }
  bool write(std::string_view bytes) override {
    text += bytes;
    return wants;
  }

  int begun = 0, status = 0;
  bool wants = true;
  std::string text;
};

Request request() { return {.url = Url::parse("http://h/"), .body_limit = 100}; }

void feed(AnswerReader& reader, std::initializer_list<const char*> lines) {
  for (const char* line : lines) reader.take_header(std::string(line) + "\r\n");
}

TEST(AnswerReader, KeepsTheLastAnswersHeaders) {
  AnswerReader reader(request(), nullptr);
  feed(reader, {"HTTP/1.1 100 Continue", "X-Old: 1", "", "HTTP/1.1 404 Not Found", "ETag:\t\"x\"  ",
                "warning: a", "WARNING: b", "no colon", ""});
  EXPECT_TRUE(reader.take_body("gone"));
  const Response response = reader.take_response();
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers.find("x-old"), "");
  EXPECT_EQ(response.headers.find("etag"), "\"x\"");
  EXPECT_EQ(response.headers.find_all("warning"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(response.body, "gone");
}

TEST(AnswerReader, OddStatusLinesAreNoStatus) {
  for (const char* line : {"HTTP/", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 abc", "HTTP/1.1 -20 x"}) {
    AnswerReader reader(request(), nullptr);
    feed(reader, {line, ""});
    EXPECT_EQ(reader.take_response().status, 0) << line;
  }
}

TEST(AnswerReader, StreamsOnlySuccess) {
  Receiver receiver;
  AnswerReader success(request(), &receiver);
  feed(success, {"HTTP/1.1 206 Partial Content", ""});
  EXPECT_EQ(receiver.begun, 1);
  EXPECT_EQ(receiver.status, 206);
  EXPECT_TRUE(success.take_body(std::string(1000, 'x')));
  feed(success, {"Trailer: 1", ""});
  EXPECT_EQ(receiver.begun, 1);
  EXPECT_EQ(receiver.text.size(), 1000U);
  EXPECT_EQ(success.take_response().body, "");

  AnswerReader failure(request(), &receiver);
  feed(failure, {"HTTP/1.1 403 Forbidden", ""});
  EXPECT_EQ(receiver.begun, 1);
  EXPECT_FALSE(failure.take_body(std::string(1000, 'x')));
  EXPECT_TRUE(failure.has_ended_itself());
  const Response response = failure.take_response();
  EXPECT_TRUE(response.is_complete());  // as much of an error as we want
  EXPECT_EQ(response.body.size(), 100U);
}

TEST(AnswerReader, TheReceiverMayStop) {
  Receiver receiver;
  receiver.wants = false;
  AnswerReader reader(request(), &receiver);
  EXPECT_TRUE(reader.take_header("HTTP/1.1 200 OK"));
  EXPECT_FALSE(reader.take_header(""));
  EXPECT_TRUE(reader.has_ended_itself());
  EXPECT_TRUE(reader.take_response().is_complete());
}

TEST(AnswerReader, LimitsWhatIsHeld) {
  AnswerReader body(request(), nullptr);
  feed(body, {"HTTP/1.1 200 OK", ""});
  EXPECT_TRUE(body.take_body(std::string(100, 'x')));
  EXPECT_FALSE(body.take_body("x"));
  EXPECT_EQ(body.take_response().failure, Failure::kTooLarge);

  AnswerReader headers(request(), nullptr);
  bool goes_on = headers.take_header("HTTP/1.1 200 OK");
  int lines = 0;
  for (; goes_on && lines < 10'000; ++lines) {
    goes_on = headers.take_header("X: " + std::string(1000, 'x'));
  }
  EXPECT_LT(lines, 300);
  EXPECT_EQ(headers.take_response().failure, Failure::kTooLarge);
}

}  // namespace
