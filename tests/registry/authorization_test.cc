// Basic and Bearer authorization against a registry, a token server and a second host.
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/registry/fake_registry.h"

namespace {

using namespace registry_test;
using base::ErrorKind;
using registry::Client;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

const oci::Platform kAmd64{.os = "linux", .architecture = "amd64", .variant = {}};
const std::string kBasic = "Basic " + registry::encode_base64("user:secret");

class Sink : public registry::BlobSink {
 public:
  void restart() override { text.clear(); }
  void write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

class Authorization : public testing::Test {
 protected:
  void serve(const Json& auth, const Json& more = Json::object()) {
    Json spec = {{"repositories", {{"a", image_.as_repository()}, {"b", image_.as_repository()}}},
                 {"auth", auth}};
    spec.update(more);
    fake_.set(spec);
  }
  // config.json with one entry for the registry.
  void log_in(const Json& entry) {
    Json config;
    config["auths"][fake_.host()] = entry;
    options_.docker_config = folder_.path() / "config.json";
    base::write_file(options_.docker_config, config.dump());
  }
  void log_in_as_user() { log_in({{"auth", registry::encode_base64("user:secret")}}); }

  registry::ResolvedImage resolve(Client& client, const std::string& name = "a") {
    return client.resolve(reference_to(fake_, name), kAmd64, Client::PlatformChoice::kHostDefault);
  }
  void resolve() {
    Client client(options_);
    resolve(client);
  }
  void expect_error(ErrorKind kind, const std::string& text) {
    SCOPED_TRACE(text);
    try {
      resolve();
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }
  std::string fetch_layer(Client& client) {
    Sink sink;
    client.fetch_blob(reference_to(fake_),
                      {.media_type = oci::kOciLayerGzip,
                       .digest = oci::Digest::parse(digest_of(image_.layers[0])),
                       .size = image_.layers[0].size()},
                      0, sink);
    return sink.text;
  }

  FakeRegistry& fake_ = FakeRegistry::shared();
  Image image_ = make_image();
  TempFolder folder_;
  registry::ClientOptions options_ = quick_options();
};

TEST_F(Authorization, BasicIsSentWhenAskedForAndThenAtOnce) {
  serve({{"kind", "basic"}, {"user", "user"}, {"password", "secret"}});
  log_in_as_user();
  resolve();
  EXPECT_THAT(fake_.headers("main", "authorization"), ElementsAre("-", kBasic, kBasic));
}

TEST_F(Authorization, BasicWithoutCredentialsOrWithWrongOnes) {
  serve({{"kind", "basic"}, {"user", "user"}, {"password", "secret"}});
  expect_error(ErrorKind::kUnauthorized, "no basic auth credentials");
  log_in({{"username", "user"}, {"password", "wrong"}});
  expect_error(ErrorKind::kUnauthorized,
               "repository does not exist or may require 'docker login': "
               "unauthorized: authentication required");
  EXPECT_THAT(fake_.requests("main"), SizeIs(3));  // the wrong ones are tried once
  // An identity token is no password.
  log_in({{"identitytoken", "refresh"}});
  expect_error(ErrorKind::kUnauthorized, "no basic auth credentials");
}

TEST_F(Authorization, AnonymousTokensAreFetchedOnceForEachRepository) {
  serve({{"kind", "bearer"}});
  Client client(options_);
  resolve(client);
  EXPECT_EQ(fetch_layer(client), "a layer");
  EXPECT_THAT(fake_.requests("token"), SizeIs(1));
  EXPECT_THAT(fake_.headers("main", "authorization"),
              ElementsAre("-", StartsWith("Bearer token-"), StartsWith("Bearer token-"),
                          StartsWith("Bearer token-")));
  resolve(client, "b");
  EXPECT_THAT(fake_.requests("token"), SizeIs(2));
  EXPECT_THAT(fake_.headers("token", "authorization"), Each("-"));
  const std::string path = fake_.requests("token")[1]["path"];
  EXPECT_EQ(path, "/token?service=fake&scope=repository%3Ab%3Apull");
}

TEST_F(Authorization, ManyThreadsFetchOneToken) {
  serve({{"kind", "bearer"}, {"token_pause", 0.1}});
  Client client(options_);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(fetch_layer(client), "a layer"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(fake_.requests("token"), SizeIs(1));
}

TEST_F(Authorization, PasswordsGoToTheTokenServerOnly) {
  serve({{"kind", "bearer"}, {"user", "user"}, {"password", "secret"}, {"anonymous", false}});
  expect_error(ErrorKind::kUnauthorized,
               "pull access denied for " + fake_.host() +
                   "/a, repository does not exist or may require 'docker login': token server");
  log_in_as_user();
  resolve();
  EXPECT_THAT(fake_.headers("token", "authorization"), ElementsAre("-", kBasic));
  EXPECT_THAT(fake_.headers("main", "authorization"), Each(Not(StartsWith("Basic"))));
  log_in({{"username", "user"}, {"password", "wrong"}});
  expect_error(ErrorKind::kUnauthorized, "incorrect username or password");
}

TEST_F(Authorization, IdentityTokensArePosted) {
  serve({{"kind", "bearer"}, {"identity", "the refresh token"}});
  log_in({{"auth", registry::encode_base64("user:")}, {"identitytoken", "the refresh token"}});
  resolve();
  const auto asked = fake_.requests("token");
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0]["method"], "POST");
  EXPECT_EQ(asked[0]["path"], "/token");
  EXPECT_EQ(asked[0]["headers"].value("authorization", "-"), "-");
  EXPECT_THAT(asked[0]["body"].get<std::string>(),
              AllOf(HasSubstr("refresh_token=the%20refresh%20token"),
                    HasSubstr("scope=repository%3Aa%3Apull")));
  log_in({{"identitytoken", "revoked"}});
  expect_error(ErrorKind::kUnauthorized, "incorrect refresh token");
}

TEST_F(Authorization, AReadyTokenIsUsedAsItIs) {
  serve({{"kind", "bearer"}, {"ready_token", "ready"}});
  log_in({{"registrytoken", "ready"}});
  resolve();
  EXPECT_THAT(fake_.requests("token"), SizeIs(0));
  log_in({{"registrytoken", "stale"}});
  expect_error(ErrorKind::kUnauthorized, "authentication required");
  EXPECT_THAT(fake_.requests("main"), SizeIs(5));
}

TEST_F(Authorization, AStaleTokenIsRenewedOnceAndThenGivenUp) {
  serve({{"kind", "bearer"}, {"uses", 2}});
  Client client(options_);
  resolve(client);
  EXPECT_EQ(fetch_layer(client), "a layer");  // the third use
  EXPECT_THAT(fake_.requests("token"), SizeIs(2));
  serve({{"kind", "bearer"}, {"uses", 0}});
  expect_error(ErrorKind::kUnauthorized, "authentication required");
  EXPECT_THAT(fake_.requests("token"), SizeIs(1));
  EXPECT_THAT(fake_.requests("main"), SizeIs(2));
}

TEST_F(Authorization, AGrantOfLessIsSeenAtTheRegistry) {
  serve({{"kind", "bearer"}, {"grant_nothing", true}, {"error", "insufficient_scope"}});
  expect_error(ErrorKind::kUnauthorized, "pull access denied");
  EXPECT_THAT(fake_.requests("token"), SizeIs(1));
}

TEST_F(Authorization, AnotherScopeIsAskedForWhenTheRegistryWantsIt) {
  serve({{"kind", "bearer"}, {"scope", "repository:127.0.0.1:5000/odd:pull"}});
  Client client(options_);
  resolve(client);
  EXPECT_THAT(fake_.requests("token")[0]["path"].get<std::string>(),
              HasSubstr("scope=repository%3A127.0.0.1%3A5000%2Fodd%3Apull"));
  // Another scope while we hold a token: one more token, for that scope.
  serve({{"kind", "bearer"}, {"scope", "registry:catalog:*"}, {"error", "insufficient_scope"}});
  resolve(client);
  EXPECT_THAT(fake_.requests("token"), SizeIs(1));
}

TEST_F(Authorization, AnswersOfTheTokenServerThatAreNone) {
  for (const char* answer : {"", "[]", "{}", R"({"token": "a\r\nX-Evil: 1"})"}) {
    SCOPED_TRACE(answer);
    serve({{"kind", "bearer"}, {"answer", answer}});
    expect_error(ErrorKind::kInvalid, "token server");
    EXPECT_THAT(fake_.headers("main", "x-evil"), Each("-"));
  }
  serve({{"kind", "bearer"}, {"answer", std::string(2 << 20, 'x')}});
  expect_error(ErrorKind::kInvalid, "answer exceeds");
  serve({{"kind", "bearer"}},
        faults({{{"port", "token"}, {"action", "status"}, {"status", 503}, {"times", 2}}}));
  EXPECT_NO_THROW(resolve());
}

TEST_F(Authorization, RealmsThatMustNotBeAsked) {
  for (const char* realm :
       {"http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://127.0.0.1/x",
        "http://user:password@127.0.0.1/", "http://[fe80::1]/", "", "nonsense"}) {
    SCOPED_TRACE(realm);
    serve({{"kind", "bearer"}, {"realm", realm}, {"user", "user"}, {"password", "secret"}});
    log_in_as_user();
    expect_error(ErrorKind::kInvalid, "token server of " + fake_.host());
    EXPECT_THAT(fake_.requests(), SizeIs(1));
  }
}

TEST_F(Authorization, RedirectsOfTheTokenServerAreCheckedAndGetNoPassword) {
  const Json bearer = {{"kind", "bearer"}, {"user", "user"}, {"password", "secret"}};
  log_in_as_user();
  serve(bearer, faults({{{"port", "token"},
                         {"action", "redirect"},
                         {"to", "http://169.254.169.254/latest/meta-data"}}}));
  expect_error(ErrorKind::kInvalid, "redirect refused: a link-local or reserved address");
  serve(bearer, faults({{{"port", "token"}, {"action", "redirect"}, {"to_port", "other"}}}));
  EXPECT_THROW(resolve(), base::Error);  // the second host knows no tokens
  EXPECT_THAT(fake_.headers("token", "authorization"), ElementsAre(kBasic));
  EXPECT_THAT(fake_.headers("other", "authorization"), ElementsAre("-"));
  // The form of a POST holds the refresh token.
  log_in({{"identitytoken", "refresh"}});
  serve({{"kind", "bearer"}, {"identity", "refresh"}},
        faults({{{"port", "token"}, {"action", "redirect"}, {"to_port", "other"}}}));
  expect_error(ErrorKind::kInvalid, "redirect refused: of a request with credentials");
  EXPECT_THAT(fake_.requests("other"), SizeIs(0));
}

TEST_F(Authorization, NeverLeavesItsHost) {
  const Json bearer = {{"kind", "bearer"}, {"user", "user"}, {"password", "secret"}};
  const Json basic = {{"kind", "basic"}, {"user", "user"}, {"password", "secret"}};
  log_in_as_user();
  for (const Json& auth : {bearer, basic}) {
    serve(auth, faults({{{"port", "main"},
                         {"path", "blobs"},
                         {"skip", 0},
                         {"action", "redirect"},
                         {"to_port", "other"}}}));
    Client client(options_);
    resolve(client);
    EXPECT_EQ(fetch_layer(client), "a layer");
    EXPECT_THAT(fake_.headers("main", "authorization"), Contains(Not("-")));
    EXPECT_THAT(fake_.headers("other", "authorization"), AllOf(SizeIs(2), Each("-")));
  }
}

TEST_F(Authorization, A401OfTheSecondHostGetsNothing) {
  log_in_as_user();
  for (const char* challenge :
       {"Basic realm=\"x\"", "Bearer realm=\"http://127.0.0.1:1/token\",service=\"x\""}) {
    SCOPED_TRACE(challenge);
    serve(
        {{"kind", "basic"}, {"user", "user"}, {"password", "secret"}},
        faults({{{"port", "main"}, {"path", "blobs"}, {"action", "redirect"}, {"to_port", "other"}},
                {{"port", "other"},
                 {"action", "status"},
                 {"status", 401},
                 {"headers", {{"WWW-Authenticate", challenge}}}}}));
    expect_error(ErrorKind::kUnauthorized, "HTTP 401");
    EXPECT_THAT(fake_.headers("other", "authorization"), Each("-"));
    EXPECT_THAT(fake_.requests("token"), SizeIs(0));
  }
}

TEST_F(Authorization, OneOfSeveralChallengesWillDo) {
  log_in_as_user();
  serve({{"kind", "basic"},
         {"user", "user"},
         {"password", "secret"},
         {"challenges", {"Negotiate", "Digest realm=\"a, b\", nonce=\"c\", Basic realm=\"d\""}}});
  EXPECT_NO_THROW(resolve());
  serve({{"kind", "basic"},
         {"user", "user"},
         {"password", "secret"},
         {"challenges", {"Negotiate", "NTLM"}}});
  expect_error(ErrorKind::kUnauthorized, "authentication required");
}

}  // namespace
