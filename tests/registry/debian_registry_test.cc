// The client against Debian's docker-registry: open, with htpasswd, and with tokens.
#include <csignal>
#include <ctime>
#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/registry/fake_registry.h"

namespace {

using namespace registry_test;
using base::ErrorKind;
using registry::Client;
namespace fs = std::filesystem;

constexpr char kRegistry[] = "/usr/bin/docker-registry";
constexpr char kUserSecret[] =
    R"(user:$2y$04$JvimmXuXzTskDMyowwrZ7.mArMq/k2Z5m/TNKnNRDSDoyiXd3YWUC)";  // htpasswd -Bbn user
                                                                             // secret

// docker-registry on an ephemeral port with one image in its storage.
class DebianRegistry {
 public:
  DebianRegistry(const Image& image, const std::string& auth) {
    add_blob(image.config);
    for (const std::string& layer : image.layers) add_blob(layer);
    add_manifest(image.manifest);
    base::write_file(folder_.path() / "config.yml",
                     "version: 0.1\nlog: {level: info}\nstorage:\n  filesystem: {rootdirectory: " +
                         storage().string() + "}\nhttp: {addr: '127.0.0.1:0'}\n" + auth);
    start();
  }
  DebianRegistry(const DebianRegistry&) = delete;
  DebianRegistry& operator=(const DebianRegistry&) = delete;
  ~DebianRegistry() {
    kill(pid_, SIGKILL);
    base::wait_for_child(pid_);
  }

  const std::string& host() const { return host_; }

 private:
  fs::path storage() const { return folder_.path() / "storage"; }
  fs::path root() const { return storage() / "docker/registry/v2"; }

  static void write(const fs::path& file, const std::string& bytes) {
    base::make_dirs(file.parent_path());
    base::write_file(file, bytes);
  }
  static std::string hex_of(const std::string& bytes) { return base::sha256_hex(bytes); }
  void add_data(const std::string& bytes) {
    const std::string hex = hex_of(bytes);
    write(root() / "blobs/sha256" / hex.substr(0, 2) / hex / "data", bytes);
  }
  void add_blob(const std::string& bytes) {
    add_data(bytes);
    write(root() / "repositories/a/_layers/sha256" / hex_of(bytes) / "link", digest_of(bytes));
  }
  void add_manifest(const std::string& bytes) {
    add_data(bytes);
    const fs::path manifests = root() / "repositories/a/_manifests";
    for (const fs::path& link :
         {manifests / "revisions/sha256" / hex_of(bytes), manifests / "tags/latest/current",
          manifests / "tags/latest/index/sha256" / hex_of(bytes)}) {
      write(link / "link", digest_of(bytes));
    }
  }

  void start() {
    int ends[2];
    base::check(pipe2(ends, O_CLOEXEC), "pipe2");
    log_ = base::UniqueFd(ends[0]);
    const base::UniqueFd writer(ends[1]);
    base::SpawnOptions options;
    options.program = kRegistry;
    options.arguments = {kRegistry, "serve", (folder_.path() / "config.yml").string()};
    options.environment = std::vector<std::string>{"OTEL_TRACES_EXPORTER=none"};
    options.descriptors = {{.ours = -1, .theirs = 0},
                           {.ours = writer.get(), .theirs = 1},
                           {.ours = writer.get(), .theirs = 2}};
    pid_ = base::spawn(options);
    host_ = find_address();
  }

  // It logs "listening on 127.0.0.1:40123". The rest of its log stays in the pipe.
  std::string find_address() {
    const std::string words = "listening on ";
    std::string text;
    for (char buffer[512];;) {
      pollfd item = {.fd = log_.get(), .events = POLLIN, .revents = 0};
      if (poll(&item, 1, 20'000) <= 0) break;
      const ssize_t count = read(log_.get(), buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
      const std::size_t at = text.find(words);
      const std::size_t end = text.find_first_of("\" \n", at + words.size());
      if (at == std::string::npos || end == std::string::npos) continue;
      return text.substr(at + words.size(), end - at - words.size());
    }
    throw std::runtime_error("docker-registry did not start: " + text);
  }

  TempFolder folder_;
  base::UniqueFd log_;
  pid_t pid_ = 0;
  std::string host_;
};

class Sink : public registry::BlobSink {
 public:
  void restart() override { text.clear(); }
  void write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

class DebianRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (fs::exists(kRegistry)) return;
    if (std::getenv("REQUIRE_E2E") != nullptr) FAIL() << kRegistry << " is not installed";
    GTEST_SKIP() << kRegistry << " is not installed";
  }

  // The manifest, and the layer in two parts.
  void pull(const std::string& host) {
    Client client(options_);
    const auto reference = oci::Reference::parse(host + "/a");
    const auto resolved =
        client.resolve(reference, {.os = "linux", .architecture = "amd64", .variant = {}},
                       Client::PlatformChoice::kHostDefault);
    EXPECT_EQ(resolved.manifest_bytes, image_.manifest);
    EXPECT_EQ(client.find_digest(reference), resolved.top_digest);
    const std::string& layer = image_.layers[0];
    for (const std::size_t offset : {std::size_t{0}, layer.size() / 3, layer.size()}) {
      Sink sink;
      client.fetch_blob(reference, resolved.manifest.layers[0], offset, sink);
      EXPECT_TRUE(sink.text == layer.substr(offset)) << offset;
    }
  }
  void expect_error(const std::string& host, ErrorKind kind, const std::string& text) {
    try {
      pull(host);
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(text));
    }
  }
  void log_in(const std::string& host, const std::string& password) {
    options_.docker_config = folder_.path() / "config.json";
    Json config;
    config["auths"][host] = {{"auth", registry::encode_base64("user:" + password)}};
    base::write_file(options_.docker_config, config.dump());
  }

  TempFolder folder_;
  Image image_ = make_image("amd64", {std::string(2'000'000, 'l') + "end"});
  registry::ClientOptions options_ = quick_options();
};

TEST_F(DebianRegistryTest, Open) {
  const DebianRegistry registry(image_, "");
  pull(registry.host());
  expect_error(registry.host() + "/nothing", ErrorKind::kNotFound,
               "manifest for " + registry.host() + "/nothing/a:latest not found: manifest unknown");
  Client client(options_);
  try {
    client.find_digest(oci::Reference::parse(registry.host() + "/a:nothing"));
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.what(),
              "manifest for " + registry.host() + "/a:nothing not found: manifest unknown");
  }
}

TEST_F(DebianRegistryTest, WithHtpasswd) {
  base::write_file(folder_.path() / "htpasswd", std::string(kUserSecret) + "\n");
  const DebianRegistry registry(image_, "auth: {htpasswd: {realm: test, path: " +
                                            (folder_.path() / "htpasswd").string() + "}}\n");
  expect_error(registry.host(), ErrorKind::kUnauthorized, "no basic auth credentials");
  log_in(registry.host(), "wrong");
  expect_error(registry.host(), ErrorKind::kUnauthorized, "authentication required");
  log_in(registry.host(), "secret");
  pull(registry.host());
}

// --- tokens: signed here, handed out by the fake's token server ---

std::string base64_url(const std::string& bytes) {
  std::string text = registry::encode_base64(bytes);
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (text.ends_with('=')) text.pop_back();
  return text;
}

std::string without_armour(const std::string& pem) {
  std::string text;
  std::size_t at = pem.find('\n') + 1;
  for (; pem[at] != '-'; ++at) {
    if (pem[at] != '\n') text += pem[at];
  }
  return text;
}

TEST_F(DebianRegistryTest, WithTokens) {
  const fs::path key = folder_.path() / "key.pem";
  const fs::path certificate = folder_.path() / "certificate.pem";
  run_program({"/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=issuer", "-keyout", key.string(), "-out", certificate.string()});
  FakeRegistry& fake = FakeRegistry::shared();
  const DebianRegistry registry(
      image_, "auth:\n  token:\n    realm: http://" + fake.host("token") +
                  "/token\n    service: debian\n    issuer: issuer\n    rootcertbundle: " +
                  certificate.string() + "\n");
  const auto sign = [&](const std::string& actions) {
    const std::time_t now = std::time(nullptr);
    const Json header = {
        {"typ", "JWT"}, {"alg", "RS256"}, {"x5c", {without_armour(base::read_file(certificate))}}};
    const Json access = Json::array(
        {Json{{"type", "repository"}, {"name", "a"}, {"actions", Json::array({actions})}}});
    const Json claims = {{"iss", "issuer"},
                         {"sub", "user"},
                         {"aud", "debian"},
                         {"exp", now + 300},
                         {"nbf", now - 10},
                         {"iat", now},
                         {"jti", base::random_hex(8)},
                         {"access", access}};
    const std::string body = base64_url(header.dump()) + "." + base64_url(claims.dump());
    base::write_file(folder_.path() / "body", body);
    run_program({"/usr/bin/openssl", "dgst", "-sha256", "-sign", key.string(), "-out",
                 (folder_.path() / "signature").string(), (folder_.path() / "body").string()});
    return body + "." + base64_url(base::read_file(folder_.path() / "signature"));
  };
  const auto hand_out = [&](const std::string& token) {
    fake.set({{"auth",
               {{"kind", "bearer"},
                {"user", "user"},
                {"password", "secret"},
                {"answer", Json({{"token", token}, {"expires_in", 300}}).dump()}}}});
  };
  hand_out(sign("pull"));
  log_in(registry.host(), "secret");
  pull(registry.host());
  const auto asked = fake.requests("token");
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0]["path"],
            "/token?service=debian&scope=repository%3Aa%3Apull&account=user&client_id=sampan");
  hand_out(sign("push"));
  expect_error(registry.host(), ErrorKind::kUnauthorized, "pull access denied for");
  log_in(registry.host(), "wrong");
  expect_error(registry.host(), ErrorKind::kUnauthorized, "incorrect username or password");
}

}  // namespace
