// Client::fetch_blob against a registry that breaks transfers in every way.
#include <chrono>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/registry/fake_registry.h"

namespace {

using namespace registry_test;
using base::ErrorKind;
using registry::Client;
using testing::ElementsAre;
using testing::HasSubstr;

class Sink : public registry::BlobSink {
 public:
  void restart() override {
    text.clear();
    ++restarts;
  }
  void write(std::string_view bytes) override {
    text += bytes;
    if (text.size() > limit) throw std::runtime_error("the disk is full");
  }

  std::string text;
  int restarts = 0;
  std::size_t limit = std::string::npos;
};

// 300,000 bytes of which no two stretches are alike.
std::string make_blob(std::size_t size = 300'000) {
  std::string blob;
  unsigned state = 7;
  while (blob.size() < size) {
    state = state * 1664525U + 1013904223U;
    blob += static_cast<char>(state >> 24U);
  }
  return blob;
}

class FetchBlob : public testing::Test {
 protected:
  FetchBlob() { serve({}); }

  void serve(std::vector<Json> list, const Json& more = Json::object()) {
    Json spec = faults(std::move(list));
    spec["repositories"]["a"]["blobs"][digest_of(blob_)] = registry::encode_base64(blob_);
    spec.update(more);
    fake_.set(spec);
  }

  oci::Descriptor descriptor() const {
    return {.media_type = oci::kOciLayerGzip,
            .digest = oci::Digest::parse(digest_of(blob_)),
            .size = blob_.size()};
  }

  void fetch(std::uint64_t offset = 0) { fetch(descriptor(), offset); }
  void fetch(const oci::Descriptor& blob, std::uint64_t offset = 0) {
    Client(options_).fetch_blob(reference_to(fake_), blob, offset, sink_);
  }

  // Without printing so many bytes.
  void expect_received(std::size_t offset) const {
    EXPECT_TRUE(sink_.text == blob_.substr(offset)) << sink_.text.size() << " bytes";
  }

  void expect_error(ErrorKind kind, const std::string& text) {
    expect_error(descriptor(), kind, text);
  }
  void expect_error(const oci::Descriptor& blob, ErrorKind kind, const std::string& text) {
    SCOPED_TRACE(text);
    try {
      fetch(blob);
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
      EXPECT_THAT(error.what(), HasSubstr("blob " + blob.digest.str()));
    }
    EXPECT_LE(sink_.text.size(), blob.size);
  }

  FakeRegistry& fake_ = FakeRegistry::shared();
  const std::string blob_ = make_blob();
  registry::ClientOptions options_ = quick_options();
  Sink sink_;
};

TEST_F(FetchBlob, Whole) {
  fetch();
  expect_received(0);
  EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("-"));
}

TEST_F(FetchBlob, FromAnOffset) {
  fetch(100'000);
  expect_received(100'000);
  EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("bytes=100000-"));
}

TEST_F(FetchBlob, NothingIsLeftToFetch) {
  fetch(blob_.size());
  oci::Descriptor empty = descriptor();
  empty.size = 0;
  fetch(empty);
  EXPECT_EQ(sink_.text, "");
  EXPECT_TRUE(fake_.requests("main").empty());
  EXPECT_THROW(fetch(blob_.size() + 1), base::Error);
}

TEST_F(FetchBlob, EmbeddedDataIsVerifiedAndUsed) {
  oci::Descriptor blob = descriptor();
  blob.data = blob_;
  fetch(blob, 5);
  expect_received(5);
  EXPECT_TRUE(fake_.requests("main").empty());
  blob.data->back() ^= 1;
  expect_error(blob, ErrorKind::kCorrupt, "digest mismatch");
}

TEST_F(FetchBlob, BrokenTransfersResumeWhereTheyStopped) {
  serve({{{"action", "truncate"}, {"after", 100'000}, {"times", 1}},
         {{"action", "truncate"}, {"after", 50'000}, {"times", 1}, {"skip", 1}}});
  fetch();
  expect_received(0);
  EXPECT_EQ(sink_.restarts, 0);
  EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("-", "bytes=100000-", "bytes=150000-"));
}

TEST_F(FetchBlob, ABodyThatEndsProperlyButTooSoonIsResumed) {
  serve({{{"action", "short"}, {"after", 1234}, {"times", 1}}});
  fetch();
  expect_received(0);
  EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("-", "bytes=1234-"));
}

TEST_F(FetchBlob, AStalledTransferIsResumed) {
  options_.stall_timeout_s = 1;
  serve({{{"action", "stall"}, {"after", 2000}, {"times", 1}}});
  fetch();
  expect_received(0);
  EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("-", "bytes=2000-"));
}

TEST_F(FetchBlob, ADripIsAStall) {
  options_.stall_timeout_s = 1;
  options_.attempts = 2;
  serve({{{"action", "drip"}, {"size", 10}, {"pause", 0.1}}});
  const auto start = std::chrono::steady_clock::now();
  expect_error(ErrorKind::kUnavailable, "the transfer stalled");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(FetchBlob, AttemptsWithoutProgressAreCounted) {
  serve({{{"action", "truncate"}, {"after", 10}}});
  expect_error(ErrorKind::kUnavailable, "");
  EXPECT_EQ(fake_.requests("main").size(), 5U);
}

TEST_F(FetchBlob, AServerThatIgnoresRangesCostsTrafficOnly) {
  serve({{{"action", "truncate"}, {"after", 100'000}, {"times", 1}}, {{"action", "ignore_range"}}});
  fetch();
  expect_received(0);
  EXPECT_EQ(sink_.restarts, 0);
}

TEST_F(FetchBlob, RangesThatLieAreNotUsed) {
  for (const Json& lie : {Json{{"shift", 1}}, Json{{"shift", -1}}, Json{{"total", 300'001}},
                          Json{{"total", 7}}, Json{{"total", "x"}}}) {
    SCOPED_TRACE(lie.dump());
    Json fault = {{"action", "wrong_range"}};
    fault.update(lie);
    serve({fault});
    sink_ = {};
    fetch(1000);
    expect_received(1000);
    EXPECT_EQ(sink_.restarts, 0);
    EXPECT_THAT(fake_.headers("main", "range"), ElementsAre("bytes=1000-", "-"));
  }
}

TEST_F(FetchBlob, ARangeWithoutATotalWillDo) {
  serve({{{"action", "wrong_range"}, {"total", "*"}}});
  fetch(1000);
  expect_received(1000);
}

TEST_F(FetchBlob, A416IsAnsweredByFetchingAll) {
  serve({{{"action", "status"}, {"status", 416}, {"times", 1}}});
  fetch(1000);
  expect_received(1000);
  serve({{{"action", "status"}, {"status", 416}}});
  expect_error(ErrorKind::kInvalid, "HTTP 416");
}

TEST_F(FetchBlob, OtherContentThanBeforeStartsAnew) {
  // Of several faults of a kind the last wins: "one" the first time, then "two".
  serve({{{"action", "swap"}, {"times", 1}},
         {{"action", "truncate"}, {"after", 100'000}, {"times", 1}},
         {{"action", "etag"}, {"etag", "\"two\""}},
         {{"action", "etag"}, {"etag", "\"one\""}, {"times", 1}}});
  fetch();
  expect_received(0);
  EXPECT_EQ(sink_.restarts, 1);
}

TEST_F(FetchBlob, NeverMoreThanTheDescriptorSays) {
  serve({{{"action", "longer"}, {"extra", 1}}});
  expect_error(ErrorKind::kCorrupt, "more than 300000 bytes");
  expect_received(0);
  sink_ = {};
  serve({{{"action", "endless"}}});
  expect_error(ErrorKind::kCorrupt, "more than 300000 bytes");
  EXPECT_EQ(fake_.requests("main").size(), 1U);
}

TEST_F(FetchBlob, SizesThatLieAreNoticedBeforeTheFirstByte) {
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{299'999}, std::uint64_t{300'001}, ~std::uint64_t{0}}) {
    oci::Descriptor lie = descriptor();
    lie.size = size;
    expect_error(lie, ErrorKind::kCorrupt,
                 "the registry serves 300000 bytes instead of " + std::to_string(size));
    EXPECT_EQ(sink_.text, "");
  }
}

TEST_F(FetchBlob, WithoutALengthThatTakesALittleLonger) {
  serve({{{"action", "no_length"}}});
  fetch();
  expect_received(0);
  sink_ = {};
  oci::Descriptor lie = descriptor();
  lie.size += 1;
  expect_error(lie, ErrorKind::kCorrupt, "serves 300000 bytes instead of 300001");
}

TEST_F(FetchBlob, MissingIsFinal) {
  oci::Descriptor other = descriptor();
  other.digest = oci::Digest::parse(digest_of("x"));
  expect_error(other, ErrorKind::kNotFound, "blob unknown to registry");
  EXPECT_EQ(fake_.requests("main").size(), 1U);
}

TEST_F(FetchBlob, WhatTheSinkThrowsComesThrough) {
  sink_.limit = 100'000;
  EXPECT_THROW(fetch(), std::runtime_error);
  EXPECT_EQ(fake_.requests("main").size(), 1U);
}

TEST_F(FetchBlob, CancelEndsATransferAndAPause) {
  for (const char* action : {"stall", "close"}) {
    SCOPED_TRACE(action);
    options_.stall_timeout_s = 60;
    options_.first_pause_ms = 60'000;
    serve({{{"action", action}, {"after", 1000}}});
    Client client(options_);
    const auto start = std::chrono::steady_clock::now();
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      client.cancel();
    });
    EXPECT_THROW(client.fetch_blob(reference_to(fake_), descriptor(), 0, sink_), base::Error);
    other.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  }
}

TEST_F(FetchBlob, ManyAtTheSameTimeShareConnections) {
  Client client(options_);
  std::vector<Sink> sinks(24);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t j = i; j < sinks.size(); j += 6) {
        client.fetch_blob(reference_to(fake_), descriptor(), 0, sinks[j]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int> peers;
  for (const Json& request : fake_.requests("main")) peers.insert(request["peer"].get<int>());
  EXPECT_LE(peers.size(), 6U);
  for (const Sink& sink : sinks) EXPECT_TRUE(sink.text == blob_);
}

// --- redirects ---

TEST_F(FetchBlob, RedirectsAreFollowedWithTheRange) {
  for (const int status : {301, 302, 303, 307, 308}) {
    SCOPED_TRACE(status);
    sink_ = {};
    serve({{{"action", "redirect"}, {"port", "main"}, {"to_port", "other"}, {"status", status}}});
    fetch(1000);
    expect_received(1000);
    EXPECT_THAT(fake_.headers("other", "range"), ElementsAre("bytes=1000-"));
  }
}

TEST_F(FetchBlob, RedirectsThatMustNotBeFollowed) {
  const auto redirect = [&](const std::string& to) {
    serve({{{"action", "redirect"}, {"to", to}}});
    sink_ = {};
  };
  redirect("/v2/a/blobs/loop");
  expect_error(ErrorKind::kInvalid, "too many");
  EXPECT_EQ(fake_.requests("main").size(), 11U);
  for (const char* to : {"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/x", "",
                         "http://user:password@127.0.0.1/", "http://127.0.0.1:0/"}) {
    redirect(to);
    expect_error(ErrorKind::kInvalid, "redirect refused");
    EXPECT_EQ(fake_.requests("main").size(), 1U);
  }
}

TEST_F(FetchBlob, ARefusalOfTheSecondHostSendsUsBackToTheFirst) {
  // The signature of an object store's address expires in the middle of a blob.
  for (const int status : {400, 401, 403, 404}) {
    SCOPED_TRACE(status);
    sink_ = {};
    serve({{{"action", "redirect"}, {"port", "main"}, {"to_port", "other"}},
           {{"action", "truncate"}, {"port", "other"}, {"after", 100'000}, {"times", 1}},
           {{"action", "status"},
            {"port", "other"},
            {"status", status},
            {"skip", 1},
            {"times", 1},
            {"body", "<Error><Code>AccessDenied</Code></Error>"},
            {"headers", {{"WWW-Authenticate", "Basic realm=\"x\""}}}}});
    fetch();
    expect_received(0);
    EXPECT_EQ(fake_.requests("main").size(), 3U);
    EXPECT_THAT(fake_.headers("other", "range"),
                ElementsAre("-", "bytes=100000-", "bytes=100000-"));
  }
  serve({{{"action", "redirect"}, {"port", "main"}, {"to_port", "other"}},
         {{"action", "status"}, {"port", "other"}, {"status", 403}}});
  sink_ = {};
  expect_error(ErrorKind::kUnauthorized, "HTTP 403");
}

}  // namespace
