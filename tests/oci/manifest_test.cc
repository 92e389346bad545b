#include "oci/manifest.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/oci/refusal.h"

namespace {

using oci::Index;
using oci::Manifest;

std::string digest(char c) { return "sha256:" + std::string(64, c); }

std::string descriptor(const std::string& type, char c, const std::string& more = "") {
  return R"({"mediaType":")" + type + R"(","digest":")" + digest(c) + R"(","size":10)" + more + "}";
}

const std::string kConfigJson = descriptor(oci::kOciConfig, 'c');
const std::string kLayerJson = descriptor(oci::kOciLayerGzip, '1');

std::string manifest(const std::string& more = "") {
  return R"({"schemaVersion":2)" + more + R"(,"config":)" + kConfigJson + R"(,"layers":[)" +
         kLayerJson + "]}";
}

std::string media_type(const std::string& type) { return R"(,"mediaType":")" + type + '"'; }

std::string index_of(const std::string& entries, const std::string& more = "") {
  return R"({"schemaVersion":2)" + more + R"(,"manifests":[)" + entries + "]}";
}

std::string entry(char c, const std::string& platform, const std::string& more = "") {
  return descriptor(oci::kOciManifest, c, R"(,"platform":)" + platform + more);
}

std::string platform(const std::string& architecture, const std::string& variant = "") {
  return R"({"os":"linux","architecture":")" + architecture + '"' +
         (variant.empty() ? "" : R"(,"variant":")" + variant + '"') + "}";
}

Manifest parse_single(const std::string& body, const std::string& content_type = "") {
  return std::get<Manifest>(oci::parse_manifest(body, content_type));
}

Index parse_index(const std::string& body, const std::string& content_type = "") {
  return std::get<Index>(oci::parse_manifest(body, content_type));
}

std::string why(const std::string& body, const std::string& content_type = "") {
  const std::string said = refusal_of([&] { oci::parse_manifest(body, content_type); });
  EXPECT_TRUE(said.starts_with("manifest: ")) << said;
  return said.substr(std::min<std::size_t>(said.size(), 10));
}

TEST(Manifest, ReadsEveryMember) {
  const Manifest value = parse_single(
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
          "artifactType":"application/x","config":)" +
      descriptor("application/vnd.oci.empty.v1+json", 'c', R"(,"data":"e30=")") + R"(,"layers":[)" +
      descriptor(oci::kOciLayerZstd, '1',
                 R"(,"urls":["https://a/b"],"annotations":{"k":"v","n":null},"unknown":[1])") +
      R"(],"subject":)" + descriptor(oci::kOciManifest, '9') + R"(,"annotations":{"a":"b"}})");
  EXPECT_EQ(value.media_type, oci::kOciManifest);
  EXPECT_EQ(value.artifact_type, "application/x");
  EXPECT_EQ(value.config.digest.str(), digest('c'));
  EXPECT_EQ(value.config.data, "{}");
  ASSERT_EQ(value.layers.size(), 1U);
  EXPECT_EQ(value.layers[0].media_type, oci::kOciLayerZstd);
  EXPECT_EQ(value.layers[0].size, 10U);
  EXPECT_EQ(value.layers[0].urls, std::vector<std::string>{"https://a/b"});
  EXPECT_EQ(value.layers[0].annotations.at("k"), "v");
  EXPECT_EQ(value.subject->digest.str(), digest('9'));
  EXPECT_EQ(value.annotations.at("a"), "b");
}

TEST(Manifest, TakesTheMediaTypeFromHeaderOrBodyOrShape) {
  EXPECT_EQ(parse_single(manifest()).media_type, oci::kOciManifest);
  EXPECT_EQ(parse_single(manifest(), oci::kDockerManifest).media_type, oci::kDockerManifest);
  EXPECT_EQ(parse_single(manifest(media_type(oci::kDockerManifest))).media_type,
            oci::kDockerManifest);
  EXPECT_EQ(
      parse_single(manifest(media_type(oci::kDockerManifest)), oci::kDockerManifest).media_type,
      oci::kDockerManifest);
  EXPECT_EQ(parse_single(manifest(), "Application/VND.oci.image.manifest.v1+JSON ; charset=utf-8")
                .media_type,
            oci::kOciManifest);
  for (const char* vague : {"application/json", "text/plain; charset=utf-8",
                            "application/octet-stream", "binary/octet-stream"}) {
    EXPECT_EQ(parse_single(manifest(), vague).media_type, oci::kOciManifest) << vague;
  }
  EXPECT_EQ(parse_index(index_of("")).media_type, oci::kOciIndex);
  EXPECT_EQ(parse_index(index_of(""), oci::kDockerList).media_type, oci::kDockerList);
}

// CVE-2021-41190: one digest, two meanings.
TEST(Manifest, RefusesWhatCanBeReadTwoWays) {
  const std::string both =
      R"({"schemaVersion":2,"manifests":[],"config":)" + kConfigJson + R"(,"layers":[]})";
  for (const char* type : {"", oci::kOciIndex, oci::kOciManifest, oci::kDockerList}) {
    EXPECT_NE(why(both, type).find("has both"), std::string::npos) << type;
  }
  why(R"({"manifests":[],"layers":null})");
  why(R"({"manifests":null,"config":{}})");
  EXPECT_NE(why(manifest(media_type(oci::kOciManifest)), oci::kOciIndex).find("was served as"),
            std::string::npos);
  why(manifest(media_type(oci::kOciManifest)), oci::kDockerManifest);
  why(index_of("", media_type(oci::kOciIndex)), oci::kOciManifest);
  why(manifest(), oci::kOciIndex);
  why(index_of(""), oci::kOciManifest);
  why(manifest(media_type(oci::kOciIndex)));
  why(index_of("", media_type(oci::kDockerManifest)));
  why(R"({"schemaVersion":2,"manifests":[],"manifests":[]})");
  why(manifest(media_type(oci::kOciManifest) + media_type(oci::kOciManifest)));
}

TEST(Manifest, RefusesObsoleteAndForeignTypes) {
  const std::string schema1 = R"({"schemaVersion":1,"name":"x","tag":"y","fsLayers":[]})";
  for (const char* type :
       {"", "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json", "application/json"}) {
    EXPECT_NE(why(schema1, type).find("schema 1"), std::string::npos) << type;
  }
  EXPECT_NE(why(manifest(R"(,"fsLayers":[])")).find("schema 1"), std::string::npos);
  EXPECT_NE(why(R"({"schemaVersion":3,"manifests":[]})").find("schemaVersion: must be 2"),
            std::string::npos);
  EXPECT_NE(why(manifest(), "text/html").find("unsupported media type"), std::string::npos);
  why(R"({"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]})");
  why(manifest(media_type("\\u001b[31m")));
  why("{}");
  why("null");
  why("[]");
  why("");
  why("<html></html>", "text/html");
}

TEST(Manifest, NullsAndAbsentMembersAreEmpty) {
  const std::string body = R"({"config":)" + kConfigJson +
                           R"(,"layers":null,"annotations":null,"subject":null,"mediaType":null})";
  EXPECT_TRUE(parse_single(body).layers.empty());
  EXPECT_TRUE(parse_single(R"({"config":)" + kConfigJson + "}").layers.empty());
  EXPECT_TRUE(parse_index(R"({"manifests":null})").manifests.empty());
  EXPECT_NE(why(R"({"layers":[]})").find("config"), std::string::npos);
  EXPECT_NE(why(R"({"config":null,"layers":[]})").find("config"), std::string::npos);
}

TEST(Manifest, ChecksDescriptors) {
  const auto layer = [](const std::string& members) {
    return R"({"config":)" + kConfigJson + R"(,"layers":[{)" + members + "}]}";
  };
  const std::string type = R"("mediaType":"a/b",)";
  const std::string id = R"("digest":")" + digest('1') + R"(",)";
  EXPECT_EQ(parse_single(layer(type + id + R"("size":0)")).layers[0].size, 0U);
  EXPECT_EQ(parse_single(layer(type + id + R"("size":9223372036854775797)")).layers[0].size,
            9223372036854775797U);
  EXPECT_EQ(why(layer(type + id + R"("size":-1)")), "layers[0].size: is negative");
  EXPECT_EQ(why(layer(type + id + R"("size":9223372036854775808)")),
            "layers[0].size: 9223372036854775808 is out of range");
  why(layer(type + id + R"("size":99999999999999999999)"));
  why(layer(type + id + R"("size":1.5)"));
  why(layer(type + id + R"("size":"1")"));
  EXPECT_EQ(why(layer(type + id + R"("size":null)")), "layers[0].size: missing");
  EXPECT_EQ(why(layer(type + R"("size":1)")), "layers[0].digest: missing");
  EXPECT_EQ(why(layer(id + R"("size":1)")), "layers[0].mediaType: missing");
  EXPECT_EQ(why(layer(type + R"("size":1,"digest":"sha256:../x")")),
            "layers[0].digest: malformed digest");
  EXPECT_EQ(why(layer(type + R"("size":1,"digest":"sha512:)" + std::string(128, 'a') + '"')),
            "layers[0].digest: digest algorithm \"sha512\" is not supported");
  why(layer(type + id + R"("size":1,"urls":"x")"));
  why(layer(type + id + R"("size":1,"annotations":{"a":1})"));
}

TEST(Manifest, SizesCannotOverflowWhenAdded) {
  const std::string half =
      R"({"mediaType":"a/b","digest":")" + digest('1') + R"(","size":4611686018427387904})";
  EXPECT_EQ(why(R"({"config":)" + kConfigJson + R"(,"layers":[)" + half + "," + half + "]}"),
            "layers[1]: sizes add up to over 2^63");
}

TEST(Manifest, LimitsLayersAndBytes) {
  const auto with_layers = [](std::size_t count) {
    std::string body = R"({"config":)" + kConfigJson + R"(,"layers":[)" + kLayerJson;
    for (std::size_t i = 1; i < count; ++i) body += "," + kLayerJson;
    return body + "]}";
  };
  EXPECT_EQ(parse_single(with_layers(500)).layers.size(), 500U);
  EXPECT_EQ(why(with_layers(501)), "layers: 501 layers are more than 500");
  why(manifest(R"(,"x":")" + std::string(oci::kMaxManifestBytes, 'x') + '"'));
}

TEST(Manifest, DecodesDataStrictly) {
  const auto data = [](const std::string& text) {
    return R"({"config":)" + descriptor(oci::kOciConfig, 'c', R"(,"data":)" + text) + "}";
  };
  const std::pair<const char*, const char*> good[] = {
      {"\"\"", ""},        {"\"Zg==\"", "f"},          {"\"Zm8=\"", "fo"},
      {"\"Zm9v\"", "foo"}, {"\"Zm9vYmFy\"", "foobar"}, {"\"+/+/\"", "\xfb\xff\xbf"},
  };
  for (const auto& [text, bytes] : good) {
    EXPECT_EQ(parse_single(data(text)).config.data, bytes) << text;
  }
  EXPECT_FALSE(parse_single(data("null")).config.data);
  for (const char* text :
       {"\"Z\"", "\"Zg\"", "\"Zg=\"", "\"Zh==\"", "\"Zm9=\"", "\"=\"", "\"====\"", "\"Zg==Zg==\"",
        "\"Z-_v\"", "\"Zm9v\\n\"", "\"Z===\"", "7"}) {
    SCOPED_TRACE(text);
    EXPECT_TRUE(why(data(text)).starts_with("config.data: "));
  }
}

TEST(Index, KeepsForeignEntriesAndDropsForeignDigests) {
  const std::string sha512 =
      R"({"mediaType":"x/y","digest":"sha512:)" + std::string(128, 'a') + R"(","size":1})";
  const Index index = parse_index(index_of(descriptor("application/x", '1') + "," + sha512 + "," +
                                           entry('2', platform("amd64"))));
  ASSERT_EQ(index.manifests.size(), 2U);
  EXPECT_EQ(index.manifests[0].media_type, "application/x");
  EXPECT_EQ(find_platform(index, oci::Platform::parse("linux/amd64"))->digest.str(), digest('2'));
  why(index_of(R"({"mediaType":"x/y","digest":"sha256:1","size":1})"));
  why(index_of(R"({"mediaType":"x/y","digest":"sha512:a/../b","size":1})"));
}

std::string chosen(const std::string& entries, const char* wanted) {
  const auto found = find_platform(parse_index(index_of(entries)), oci::Platform::parse(wanted));
  return found ? found->digest.hex().substr(0, 1) : "none";
}

TEST(Index, ChoosesTheBestPlatformAndTheFirstOfEquals) {
  const std::string arms = entry('5', platform("arm", "v5")) + "," +
                           entry('7', platform("arm", "v7")) + "," +
                           entry('6', platform("arm", "v6")) + "," + entry('8', platform("arm64"));
  EXPECT_EQ(chosen(arms, "linux/arm/v7"), "7");
  EXPECT_EQ(chosen(arms, "linux/arm/v6"), "6");
  EXPECT_EQ(chosen(arms, "linux/arm64"), "8");
  EXPECT_EQ(chosen(arms, "linux/amd64"), "none");
  const std::string intel = entry('3', platform("386")) + "," + entry('1', platform("amd64")) +
                            "," + entry('2', platform("x86_64", "v1"));
  EXPECT_EQ(chosen(intel, "linux/amd64"), "1");
  EXPECT_EQ(chosen(intel, "linux/386"), "3");
  EXPECT_EQ(chosen(entry('3', platform("386")), "linux/amd64"), "3");
  EXPECT_EQ(chosen(entry('3', R"({"os":"windows","architecture":"amd64"})"), "linux/amd64"),
            "none");
  EXPECT_EQ(chosen("", "linux/amd64"), "none");
}

TEST(Index, SkipsAttestationsArtifactsAndUnknownTypes) {
  const std::string annotation =
      R"(,"annotations":{"vnd.docker.reference.type":"attestation-manifest"})";
  const std::string attestation =
      entry('a', R"({"os":"unknown","architecture":"unknown"})", annotation);
  EXPECT_EQ(chosen(attestation + "," + entry('1', platform("amd64")), "linux/amd64"), "1");
  EXPECT_EQ(chosen(attestation, "linux/amd64"), "none");
  EXPECT_EQ(chosen(descriptor(oci::kOciManifest, 'a', annotation), "linux/amd64"), "none");
  EXPECT_EQ(chosen(entry('a', platform("amd64"), annotation), "linux/amd64"), "none");
  EXPECT_EQ(chosen(descriptor("application/x", 'a', R"(,"platform":)" + platform("amd64")),
                   "linux/amd64"),
            "none");
  EXPECT_EQ(chosen(descriptor(oci::kOciManifest, 'a', R"(,"artifactType":"application/x")"),
                   "linux/amd64"),
            "none");
}

TEST(Index, TakesAnEntryWithoutPlatformOnlyIfNothingElseFits) {
  const std::string nameless = descriptor(oci::kOciManifest, 'd');
  EXPECT_EQ(chosen(nameless + "," + entry('3', platform("386")), "linux/amd64"), "3");
  EXPECT_EQ(chosen(nameless + "," + entry('8', platform("arm64")), "linux/amd64"), "d");
  EXPECT_EQ(chosen(descriptor(oci::kOciIndex, 'e') + "," + nameless, "linux/amd64"), "e");
}

TEST(Config, OnlyTwoTypesCanRun) {
  EXPECT_TRUE(oci::is_runnable_config(oci::kOciConfig));
  EXPECT_TRUE(oci::is_runnable_config(oci::kDockerConfig));
  EXPECT_FALSE(oci::is_runnable_config("application/vnd.oci.empty.v1+json"));
  EXPECT_FALSE(oci::is_runnable_config("application/vnd.cncf.helm.config.v1+json"));
  EXPECT_FALSE(oci::is_runnable_config(""));
}

}  // namespace
