// Client::resolve and find_digest against a registry that lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/registry/fake_registry.h"

namespace {

using namespace registry_test;
using base::ErrorKind;
using registry::Client;
using testing::HasSubstr;

const oci::Platform kAmd64{.os = "linux", .architecture = "amd64", .variant = {}};

class Resolve : public testing::Test {
 protected:
  registry::ResolvedImage resolve(
      const std::string& rest = "a",
      Client::PlatformChoice choice = Client::PlatformChoice::kHostDefault) {
    return Client(options_).resolve(reference_to(fake_, rest), kAmd64, choice);
  }

  void expect_error(ErrorKind kind, const std::string& text, const std::string& rest = "a") {
    SCOPED_TRACE(text);
    try {
      resolve(rest);
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
      EXPECT_EQ(std::string(error.what()).find_first_of("\x1b\n\r"), std::string::npos);
    }
  }

  void serve(const Json& repository, const Json& extra = Json::object()) {
    Json spec = {{"repositories", {{"a", repository}}}};
    spec.update(extra);
    fake_.set(spec);
  }

  // One manifest under a tag, and blobs.
  void serve_manifest(const std::string& body, const std::string& type,
                      const Json& more = Json::object()) {
    Json repository = image_.as_repository();
    Json entry = {{"body", body}, {"type", type}};
    entry.update(more);
    repository["manifests"]["latest"] = entry;
    serve(repository);
  }

  FakeRegistry& fake_ = FakeRegistry::shared();
  Image image_ = make_image();
  registry::ClientOptions options_ = quick_options();
};

TEST_F(Resolve, ASingleManifest) {
  serve(image_.as_repository());
  const auto resolved = resolve();
  EXPECT_EQ(resolved.top_digest.str(), digest_of(image_.manifest));
  EXPECT_EQ(resolved.manifest_digest, resolved.top_digest);
  EXPECT_EQ(resolved.manifest_bytes, image_.manifest);
  EXPECT_EQ(resolved.config_bytes, image_.config);
  EXPECT_EQ(resolved.manifest.layers.size(), 1U);
  EXPECT_FALSE(resolved.index_bytes);
  EXPECT_TRUE(resolved.warnings.empty());
  for (const Json& request : fake_.requests("main")) {
    EXPECT_EQ(request["headers"].value("accept-encoding", ""), "identity");
    EXPECT_EQ(request["headers"].value("authorization", "-"), "-");
  }
  EXPECT_THAT(fake_.headers("main", "accept").front(),
              testing::AllOf(HasSubstr(oci::kOciIndex), HasSubstr(oci::kOciManifest),
                             HasSubstr(oci::kDockerList), HasSubstr(oci::kDockerManifest)));
}

TEST_F(Resolve, ByDigestTheDigestDecides) {
  Json repository = image_.as_repository();
  repository["manifests"]["latest"]["body"] = "{}";
  serve(repository);
  const std::string digest = digest_of(image_.manifest);
  EXPECT_EQ(resolve("a:latest@" + digest).top_digest.str(), digest);
  // What is served under the digest is something else.
  repository["manifests"][digest] = {
      {"body", image_.manifest + " "}, {"type", oci::kOciManifest}, {"digest", digest}};
  serve(repository);
  expect_error(ErrorKind::kCorrupt, "digest mismatch: expected " + digest, "a@" + digest);
}

TEST_F(Resolve, ContentTypesAreTolerantWhereTheySayNothing) {
  for (const char* type : {"application/vnd.oci.image.manifest.v1+json; charset=utf-8",
                           "Application/VND.oci.image.Manifest.v1+JSON", "application/json",
                           "text/plain", "", "application/octet-stream"}) {
    SCOPED_TRACE(type);
    serve_manifest(image_.manifest, type);
    EXPECT_NO_THROW(resolve());
  }
}

TEST_F(Resolve, ContentTypesThatDisagreeAreRefused) {
  for (const char* type : {oci::kOciIndex, oci::kDockerManifest, oci::kDockerList, "text/html"}) {
    SCOPED_TRACE(type);
    serve_manifest(image_.manifest, type);
    expect_error(ErrorKind::kInvalid, "manifest for ");
  }
  Json both = Json::parse(image_.manifest);
  both["manifests"] = Json::array();
  serve_manifest(both.dump(), oci::kOciManifest);
  expect_error(ErrorKind::kInvalid, "manifest");
}

TEST_F(Resolve, Schema1IsRefusedByName) {
  serve_manifest(R"({"schemaVersion":1,"fsLayers":[]})",
                 "application/vnd.docker.distribution.manifest.v1+prettyjws");
  expect_error(ErrorKind::kUnsupported, "schema 1");
  serve_manifest(R"({"schemaVersion":1,"fsLayers":[]})", "application/json");
  expect_error(ErrorKind::kInvalid, "schema");
}

TEST_F(Resolve, AClaimedDigestMustHold) {
  serve_manifest(image_.manifest, oci::kOciManifest, {{"digest", digest_of("x")}});
  expect_error(ErrorKind::kCorrupt, "digest mismatch");
  // Absent, or of an algorithm that we don't check: nothing is claimed.
  for (const char* claim : {"", "sha512:0123", "sha256:../../etc"}) {
    serve_manifest(image_.manifest, oci::kOciManifest, {{"digest", claim}});
    EXPECT_NO_THROW(resolve()) << claim;
  }
}

TEST_F(Resolve, NotFoundSpeaksAsDocker) {
  serve(image_.as_repository());
  expect_error(ErrorKind::kNotFound,
               "manifest for " + fake_.host() + "/a:nope not found: manifest unknown", "a:nope");
  expect_error(ErrorKind::kNotFound,
               "repository " + fake_.host() +
                   "/nope not found: name unknown: repository name not known to registry",
               "nope");
  EXPECT_EQ(fake_.requests("main").size(), 2U);  // a 404 is final
}

TEST_F(Resolve, RefusalsOfTheRegistryAreTold) {
  const auto refuse = [&](int status, const std::string& body) {
    serve(image_.as_repository(),
          faults({{{"action", "status"}, {"status", status}, {"body", body}}}));
  };
  refuse(403, R"({"errors":[{"code":"DENIED","message":"no\u001b[31m way"}]})");
  expect_error(ErrorKind::kUnauthorized, "pull access denied for " + fake_.host() +
                                             "/a, repository does not exist or may require "
                                             "'docker login': denied: no\\x1b[31m way");
  refuse(401, "");  // without a challenge
  expect_error(ErrorKind::kUnauthorized, "HTTP 401");
  EXPECT_EQ(fake_.requests("main").size(), 1U);
  refuse(429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]})");
  expect_error(ErrorKind::kUnavailable, "toomanyrequests: slow down");
  EXPECT_EQ(fake_.requests("main").size(), 5U);
  refuse(500, "<html>");
  expect_error(ErrorKind::kUnavailable, "HTTP 500");
  refuse(405, "");
  expect_error(ErrorKind::kInvalid, "HTTP 405");
}

TEST_F(Resolve, WhatPassesIsTriedAgain) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    SCOPED_TRACE(status);
    serve(image_.as_repository(),
          faults({{{"action", "status"}, {"status", status}, {"times", 2}}}));
    EXPECT_NO_THROW(resolve());
    EXPECT_EQ(fake_.requests("main").size(), 4U);
  }
  for (const char* action : {"close", "truncate"}) {
    SCOPED_TRACE(action);
    serve(image_.as_repository(),
          faults({{{"action", action}, {"after", 10}, {"times", 2}, {"path", "/v2/"}}}));
    EXPECT_NO_THROW(resolve());
  }
}

TEST_F(Resolve, RetryAfterIsObeyedWithinReason) {
  const auto answer_429 = [&](const char* after) {
    serve(image_.as_repository(), faults({{{"action", "status"},
                                           {"status", 429},
                                           {"times", 1},
                                           {"headers", {{"Retry-After", after}}}}}));
  };
  answer_429("1");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NO_THROW(resolve());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  answer_429("3600");
  expect_error(ErrorKind::kUnavailable, "HTTP 429");
}

TEST_F(Resolve, AnUnknownOrDeafHostIsToldAtOnce) {
  options_.first_pause_ms = 60'000;  // a retry would be noticed
  // A port that was free a moment ago: the discard service is not there.
  try {
    Client(options_).resolve(oci::Reference::parse("127.0.0.1:9/a"), kAmd64,
                             Client::PlatformChoice::kHostDefault);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    EXPECT_STREQ(error.what(), "connect to 127.0.0.1:9: connection refused");
  }
}

TEST_F(Resolve, LimitsHoldWithoutALength) {
  for (const char* path : {"manifests", "blobs"}) {
    SCOPED_TRACE(path);
    serve(image_.as_repository(), faults({{{"action", "endless"}, {"path", path}}}));
    EXPECT_THROW(resolve(), base::Error);
  }
  serve_manifest(image_.manifest + std::string(5 << 20, ' '), oci::kOciManifest);
  expect_error(ErrorKind::kInvalid, "answer exceeds");
  Json manifest = Json::parse(image_.manifest);
  manifest["config"]["size"] = 5 << 20;
  serve_manifest(manifest.dump(), oci::kOciManifest);
  expect_error(ErrorKind::kInvalid, "too many");
}

TEST_F(Resolve, ConfigsAreVerified) {
  serve(image_.as_repository(), faults({{{"action", "swap"}, {"path", "blobs"}}}));
  expect_error(ErrorKind::kCorrupt, "digest mismatch");
  for (const std::size_t size : {image_.config.size() - 1, image_.config.size() + 1}) {
    Json manifest = Json::parse(image_.manifest);
    manifest["config"]["size"] = size;
    serve_manifest(manifest.dump(), oci::kOciManifest);
    expect_error(ErrorKind::kCorrupt, "bytes");
  }
}

TEST_F(Resolve, EmbeddedDataSavesARequestButIsVerified) {
  Json manifest = Json::parse(image_.manifest);
  manifest["config"]["data"] = registry::encode_base64(image_.config);
  serve_manifest(manifest.dump(), oci::kOciManifest);
  EXPECT_EQ(resolve().config_bytes, image_.config);
  EXPECT_EQ(fake_.requests("main").size(), 1U);
  manifest["config"]["data"] = registry::encode_base64(std::string(image_.config.size(), 'x'));
  serve_manifest(manifest.dump(), oci::kOciManifest);
  expect_error(ErrorKind::kCorrupt, "digest mismatch");
}

TEST_F(Resolve, ArtifactsAndForeignSystemsAreRefused) {
  Json manifest = Json::parse(image_.manifest);
  manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json";
  serve_manifest(manifest.dump(), oci::kOciManifest);
  expect_error(ErrorKind::kUnsupported, "helm");
  manifest = Json::parse(image_.manifest);
  manifest["layers"][0]["mediaType"] = oci::kOciManifest;
  serve_manifest(manifest.dump(), oci::kOciManifest);
  EXPECT_THROW(resolve(), base::Error);
  manifest["layers"] = Json::array();
  serve_manifest(manifest.dump(), oci::kOciManifest);
  expect_error(ErrorKind::kInvalid, "0 layers");

  Image windows = make_image();
  const std::string config = R"({"os":"windows","architecture":"amd64","config":{},"rootfs":)"
                             R"({"type":"layers","diff_ids":[]}})";
  manifest = Json::parse(windows.manifest);
  manifest["config"] = descriptor_of(oci::kOciConfig, config);
  manifest["layers"] = Json::array();
  windows.config = config;
  windows.manifest = manifest.dump();
  serve(windows.as_repository());
  expect_error(ErrorKind::kUnsupported, "operating system \"windows\"");
}

TEST_F(Resolve, AnotherPlatformWarnsOrFails) {
  image_ = make_image("arm64");
  serve(image_.as_repository());
  const auto resolved = resolve();
  ASSERT_EQ(resolved.warnings.size(), 1U);
  EXPECT_THAT(resolved.warnings.front(), HasSubstr("(linux/arm64)"));
  try {
    resolve("a", Client::PlatformChoice::kExplicit);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("wanted linux/amd64, actual: linux/arm64"));
  }
}

TEST_F(Resolve, WarningsOfTheRegistryComeOnce) {
  serve(image_.as_repository(),
        faults({{{"action", "headers"},
                 {"headers", {{"Warning", "299 - \"going away \\\"soon\\\" \x7f\""}}}}}));
  EXPECT_THAT(resolve().warnings, testing::ElementsAre("going away \"soon\" \\x7f"));
}

TEST_F(Resolve, CancelledClientsAnswerAtOnce) {
  serve(image_.as_repository());
  Client client(options_);
  client.cancel();
  EXPECT_THROW(client.resolve(reference_to(fake_), kAmd64, Client::PlatformChoice::kHostDefault),
               base::Error);
}

TEST_F(Resolve, FindDigestByHead) {
  serve(image_.as_repository());
  const auto find = [&] { return Client(options_).find_digest(reference_to(fake_)).str(); };
  EXPECT_EQ(find(), digest_of(image_.manifest));
  EXPECT_EQ(fake_.requests("main").size(), 1U);
  EXPECT_EQ(fake_.requests("main").front()["method"], "HEAD");
  for (const int status : {403, 405}) {  // GET where HEAD is not allowed
    serve(image_.as_repository(),
          faults({{{"action", "status"}, {"status", status}, {"method", "HEAD"}}}));
    EXPECT_EQ(find(), digest_of(image_.manifest));
  }
  serve_manifest(image_.manifest, oci::kOciManifest, {{"digest", ""}});
  EXPECT_EQ(find(), digest_of(image_.manifest));
  serve(image_.as_repository(), faults({{{"action", "status"},
                                         {"status", 403},
                                         {"body", R"({"errors":[{"code":"DENIED"}]})"}}}));
  try {
    find();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnauthorized);
    EXPECT_THAT(error.what(), HasSubstr("denied"));  // HEAD had no body to say so
  }
}

// --- indexes ---

class ResolveIndex : public Resolve {
 protected:
  Json entry(const Image& image, const Json& platform) {
    Json descriptor = descriptor_of(oci::kOciManifest, image.manifest);
    if (!platform.is_null()) descriptor["platform"] = platform;
    add(image);
    return descriptor;
  }
  // An index below another.
  Json entry(const std::string& index) {
    repository_["manifests"][digest_of(index)] = {{"body", index}, {"type", oci::kOciIndex}};
    return descriptor_of(oci::kOciIndex, index);
  }
  static std::string make_index(const std::vector<Json>& entries) {
    return Json({{"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", entries}})
        .dump();
  }
  void add(const Image& image) {
    const Json more = image.as_repository(digest_of(image.manifest));
    repository_["manifests"].update(more["manifests"]);
    repository_["blobs"].update(more["blobs"]);
  }
  void serve_index(const std::string& index) {
    repository_["manifests"]["latest"] = {{"body", index}, {"type", oci::kOciIndex}};
    serve(repository_);
  }
  static Json platform(const std::string& architecture) {
    return {{"os", "linux"}, {"architecture", architecture}};
  }

  Json repository_ = {{"manifests", Json::object()}, {"blobs", Json::object()}};
};

TEST_F(ResolveIndex, TakesThePlatform) {
  const Image arm = make_image("arm64");
  const std::string index =
      make_index({entry(arm, platform("arm64")), entry(image_, platform("amd64"))});
  serve_index(index);
  const auto resolved = resolve();
  EXPECT_EQ(resolved.top_digest.str(), digest_of(index));
  EXPECT_EQ(resolved.index_bytes, index);
  EXPECT_EQ(resolved.manifest_digest.str(), digest_of(image_.manifest));
  EXPECT_EQ(fake_.requests("main").size(), 3U);  // index, manifest, config
}

TEST_F(ResolveIndex, NothingThatFits) {
  const Image arm = make_image("arm64");
  serve_index(make_index({entry(arm, platform("arm64"))}));
  expect_error(ErrorKind::kNotFound, "no matching manifest for linux/amd64");
  serve_index(make_index({}));
  expect_error(ErrorKind::kNotFound, "no matching manifest for linux/amd64");
  Json odd = entry(image_, platform("amd64"));
  odd["mediaType"] = "application/vnd.unknown+json";
  serve_index(make_index({odd}));
  expect_error(ErrorKind::kNotFound, "no matching manifest for linux/amd64");
}

TEST_F(ResolveIndex, AttestationsAreNoImages) {
  Json attestation = entry(make_image("unknown"), {{"os", "unknown"}, {"architecture", "unknown"}});
  attestation["annotations"] = {{"vnd.docker.reference.type", "attestation-manifest"}};
  serve_index(make_index({attestation, entry(image_, platform("amd64"))}));
  EXPECT_EQ(resolve().manifest_digest.str(), digest_of(image_.manifest));
}

TEST_F(ResolveIndex, WithoutALabelTheConfigDecides) {
  const Image arm = make_image("arm64");
  serve_index(make_index({entry(arm, nullptr), entry(image_, nullptr)}));
  EXPECT_EQ(resolve().manifest_digest.str(), digest_of(image_.manifest));
  serve_index(make_index({entry(arm, nullptr)}));
  expect_error(ErrorKind::kNotFound, "no matching manifest");
}

TEST_F(ResolveIndex, ALabelledIndexWithoutAMatchIsNotTheEnd) {
  Json empty = entry(make_index({}));
  empty["platform"] = platform("amd64");
  Json full = entry(make_index({entry(image_, platform("amd64"))}));
  full["platform"] = platform("amd64");
  serve_index(make_index({empty, full}));
  const auto resolved = resolve();
  EXPECT_EQ(resolved.manifest_digest.str(), digest_of(image_.manifest));
  EXPECT_EQ(resolved.inner_indexes.size(), 1U);  // not the one that led nowhere
}

TEST_F(ResolveIndex, SignaturesBesideImagesAreSkipped) {
  Image signature = make_image();
  Json manifest = Json::parse(signature.manifest);
  manifest["config"]["mediaType"] = "application/vnd.dev.cosign.config.v1+json";
  signature.manifest = manifest.dump();
  serve_index(make_index({entry(signature, nullptr), entry(image_, nullptr)}));
  EXPECT_EQ(resolve().manifest_digest.str(), digest_of(image_.manifest));
}

TEST_F(ResolveIndex, NestedUpToALimit) {
  std::vector<std::string> indexes = {make_index({entry(image_, platform("amd64"))})};
  for (int depth = 2; depth <= 6; ++depth) {
    indexes.push_back(make_index({entry(indexes.back())}));
    serve_index(indexes.back());
    if (depth <= 4) {
      const auto resolved = resolve();
      EXPECT_EQ(resolved.manifest_digest.str(), digest_of(image_.manifest)) << depth;
      // All of them but the first, from the outside in.
      EXPECT_EQ(resolved.inner_indexes,
                std::vector<std::string>(indexes.rbegin() + 1, indexes.rend()));
    } else {
      expect_error(ErrorKind::kNotFound, "no matching manifest");
    }
  }
}

TEST_F(ResolveIndex, BombsFizzle) {
  // Each level names the same ten children: 10^5 paths, four indexes.
  std::string index = make_index({entry(make_image("arm64"), platform("arm64"))});
  for (int level = 0; level < 5; ++level) {
    index = make_index(std::vector<Json>(10, entry(index)));
  }
  serve_index(index);
  expect_error(ErrorKind::kNotFound, "no matching manifest");
  EXPECT_LE(fake_.requests("main").size(), 5U);

  std::vector<Json> wide;
  for (int i = 0; i < 100; ++i) wide.push_back(entry(make_index({Json{{"x", i}}})));
  serve_index(make_index(wide));
  EXPECT_THROW(resolve(), base::Error);
  EXPECT_LE(fake_.requests("main").size(), 70U);

  serve_index(make_index(std::vector<Json>(10'001, entry(image_, platform("arm64")))));
  expect_error(ErrorKind::kInvalid, "too many descriptors");
}

TEST_F(ResolveIndex, ChildrenAreVerified) {
  const std::string digest = digest_of(image_.manifest);
  const Json good = entry(image_, platform("amd64"));
  for (const int change : {-1, 1}) {
    Json lie = good;
    lie["size"] = static_cast<int>(image_.manifest.size()) + change;
    serve_index(make_index({lie}));
    EXPECT_THROW(resolve(), base::Error);
  }
  std::string other = image_.manifest;
  other[other.size() - 2] = ' ';
  repository_["manifests"][digest]["body"] = other;
  serve_index(make_index({good}));
  expect_error(ErrorKind::kCorrupt, "digest mismatch: expected " + digest);
  // The descriptor's type rules, whatever the header says; the body must agree with it.
  add(image_);
  repository_["manifests"][digest]["type"] = oci::kDockerList;
  serve_index(make_index({good}));
  EXPECT_NO_THROW(resolve());
  Json wrong = good;
  wrong["mediaType"] = oci::kDockerManifest;
  serve_index(make_index({wrong}));
  expect_error(ErrorKind::kInvalid, "manifest " + digest);
}

}  // namespace
