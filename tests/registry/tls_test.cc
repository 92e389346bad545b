// TLS, plain HTTP and proxies: where a registry may be spoken to without verified TLS, and where
// not.
#include <cstdlib>
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
using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;

class EnvironmentVariable {
 public:
  EnvironmentVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;
  ~EnvironmentVariable() {
    if (old_) {
      setenv(name_, old_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

// "registry.test" is reached through a proxy on loopback, so that a name that is not loopback's can
// be used without a packet leaving the machine.
class Tls : public testing::Test {
 protected:
  Tls() { serve(Json::object()); }

  void serve(const Json& more) {
    Json spec = {{"repositories", {{"a", image_.as_repository()}}}};
    spec.update(more);
    fake_.set(spec);
  }
  void resolve(const std::string& domain) {
    Client(options_).resolve(oci::Reference::parse(domain + "/a"),
                             {.os = "linux", .architecture = "amd64", .variant = {}},
                             Client::PlatformChoice::kHostDefault);
  }
  void expect_error(const std::string& domain, ErrorKind kind, const std::string& text) {
    SCOPED_TRACE(text);
    try {
      resolve(domain);
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }

  FakeRegistry& fake_ = FakeRegistry::shared();
  Image image_ = make_image();
  registry::ClientOptions options_ = quick_options();
  EnvironmentVariable proxy_{"https_proxy", "http://" + fake_.host("proxy")};
};

TEST_F(Tls, LoopbackNeedsNoCertificateAndNoProxy) {
  const EnvironmentVariable plain_proxy("http_proxy", "http://127.0.0.1:9");
  resolve(fake_.host("tls"));
  EXPECT_THAT(fake_.requests("tls"), SizeIs(2));
  resolve(fake_.host("main"));
  EXPECT_THAT(fake_.requests("main"), SizeIs(2));
  EXPECT_THAT(fake_.requests("proxy"), SizeIs(0));
}

TEST_F(Tls, ElsewhereTheCertificateMustBeTrusted) {
  expect_error("registry.test", ErrorKind::kInvalid, "registry.test: SSL certificate problem");
  EXPECT_EQ(fake_.requests("proxy").size(), fake_.requests().size());  // no plain HTTP
  options_.ca_file = fake_.certificate();
  resolve("registry.test");
  EXPECT_THAT(fake_.requests("tls"), SizeIs(2));
  expect_error("other.test", ErrorKind::kInvalid, "other.test: SSL");  // trusted, but another's
}

TEST_F(Tls, TheEnvironmentNamesCertificates) {
  const EnvironmentVariable file("SSL_CERT_FILE", fake_.certificate().string());
  resolve("registry.test");
  EXPECT_THAT(fake_.requests("tls"), SizeIs(2));
}

TEST_F(Tls, InsecureRegistriesNeedNoCertificate) {
  options_.insecure_registries = {"registry.test"};
  resolve("registry.test");
  expect_error("registry.test:8443", ErrorKind::kInvalid, "SSL certificate problem");
}

TEST_F(Tls, CredentialsDoNotReachTheProxy) {
  TempFolder folder;
  options_.ca_file = fake_.certificate();
  options_.docker_config = folder.path() / "config.json";
  base::write_file(options_.docker_config,
                   R"({"auths": {"registry.test": {"username": "user", "password": "secret"}}})");
  serve({{"auth", {{"kind", "basic"}, {"user", "user"}, {"password", "secret"}}}});
  resolve("registry.test");
  EXPECT_THAT(fake_.headers("tls", "authorization"), testing::Contains(HasSubstr("Basic")));
  EXPECT_THAT(fake_.headers("proxy", "authorization"), Each("-"));
}

TEST_F(Tls, NoRedirectLeadsOutOfIt) {
  serve(faults({{{"port", "tls"}, {"action", "redirect"}, {"to_port", "other"}}}));
  expect_error(fake_.host("tls"), ErrorKind::kInvalid, "redirect refused: from https to http");
  EXPECT_THAT(fake_.requests("other"), SizeIs(0));
}

TEST_F(Tls, NoTokenServerWithoutIt) {
  serve({{"auth", {{"kind", "bearer"}}}});
  expect_error(fake_.host("tls"), ErrorKind::kInvalid, "plain HTTP while the registry uses HTTPS");
  // Nor on loopback for a registry that is not.
  options_.ca_file = fake_.certificate();
  serve({{"auth", {{"kind", "bearer"}, {"realm", "https://" + fake_.host("tls") + "/token"}}}});
  expect_error("registry.test", ErrorKind::kInvalid, "is refused: a loopback address");
  EXPECT_THAT(fake_.requests("token"), SizeIs(0));
}

TEST_F(Tls, ManyThreadsShareSessionsSafely) {
  options_.ca_file = fake_.certificate();
  Client client(options_);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 4; ++j) {
        EXPECT_EQ(client.find_digest(oci::Reference::parse("registry.test/a")).str(),
                  digest_of(image_.manifest));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(fake_.requests("tls"), SizeIs(24));
}

TEST_F(Tls, TheSchemeThatWorkedIsRemembered) {
  Client client(options_);
  const auto reference = reference_to(fake_);
  for (int i = 0; i < 3; ++i) EXPECT_NO_THROW(client.find_digest(reference));
  std::set<int> peers;  // a TLS attempt each time would need a new connection each time
  for (const Json& request : fake_.requests("main")) peers.insert(request["peer"].get<int>());
  EXPECT_EQ(peers.size(), 1U);
}

}  // namespace
