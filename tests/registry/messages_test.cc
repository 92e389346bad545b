// What comes from the process that talks to registries: nothing of it is believed.
#include "registry/remote/messages.h"

#include <functional>

#include <gtest/gtest.h>

#include "tests/registry/fake_registry.h"

namespace {

using namespace registry_test;
using registry::ResolvedImage;

std::string index_of(const std::string& type, const std::string& bytes) {
  return Json({{"schemaVersion", 2},
               {"mediaType", oci::kOciIndex},
               {"manifests", Json::array({descriptor_of(type, bytes)})}})
      .dump();
}

oci::Digest digest(const std::string& bytes) { return oci::Digest::parse(digest_of(bytes)); }

// An image below three indexes.
ResolvedImage nested_image() {
  const Image image = make_image();
  auto content = oci::parse_manifest(image.manifest, {});
  const std::string innermost = index_of(oci::kOciManifest, image.manifest);
  const std::string inner = index_of(oci::kOciIndex, innermost);
  const std::string top = index_of(oci::kOciIndex, inner);
  return {.reference = oci::Reference::parse("a"),
          .top_digest = digest(top),
          .manifest_digest = digest(image.manifest),
          .manifest_bytes = image.manifest,
          .manifest = std::get<oci::Manifest>(content),
          .config_bytes = image.config,
          .index_bytes = top,
          .inner_indexes = {inner, innermost},
          .warnings = {"a\x1b[31m warning"}};
}

ResolvedImage pass_on(const ResolvedImage& image) {
  return registry::decode_image(registry::encode_image(image), image.reference);
}

TEST(ImageMessage, KeepsAll) {
  const ResolvedImage image = nested_image();
  const ResolvedImage other = pass_on(image);
  EXPECT_EQ(other.top_digest, image.top_digest);
  EXPECT_EQ(other.manifest_bytes, image.manifest_bytes);
  EXPECT_EQ(other.config_bytes, image.config_bytes);
  EXPECT_EQ(other.index_bytes, image.index_bytes);
  EXPECT_EQ(other.inner_indexes, image.inner_indexes);
  EXPECT_EQ(other.warnings, std::vector<std::string>{"a\\x1b[31m warning"});
}

TEST(ImageMessage, EveryIndexMustNameTheNextAndTheLastTheManifest) {
  const auto expect_corrupt = [](const std::function<void(ResolvedImage&)>& spoil) {
    ResolvedImage image = nested_image();
    spoil(image);
    try {
      pass_on(image);
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCorrupt) << error.what();
    }
  };
  expect_corrupt([](ResolvedImage& image) { image.inner_indexes.pop_back(); });
  expect_corrupt([](ResolvedImage& image) { image.inner_indexes.clear(); });
  expect_corrupt(
      [](ResolvedImage& image) { std::swap(image.inner_indexes[0], image.inner_indexes[1]); });
  expect_corrupt([](ResolvedImage& image) { image.inner_indexes.push_back(*image.index_bytes); });
  expect_corrupt([](ResolvedImage& image) { image.inner_indexes[1] += " "; });
  expect_corrupt([](ResolvedImage& image) { image.index_bytes.reset(); });
  expect_corrupt([](ResolvedImage& image) {
    image.index_bytes.reset();
    image.top_digest = image.manifest_digest;
  });
  expect_corrupt([](ResolvedImage& image) { image.top_digest = image.manifest_digest; });
  expect_corrupt([](ResolvedImage& image) { image.manifest_bytes += " "; });
  expect_corrupt([](ResolvedImage& image) { image.config_bytes += " "; });
  // An index that is called a manifest where it is named.
  expect_corrupt([](ResolvedImage& image) {
    image.index_bytes = index_of(oci::kOciManifest, image.inner_indexes[0]);
    image.top_digest = digest(*image.index_bytes);
  });
}

TEST(ImageMessage, IsTheOneThatWasAskedFor) {
  const ResolvedImage image = nested_image();
  const std::string message = registry::encode_image(image);
  const auto asked = oci::Reference::parse("a");
  EXPECT_NO_THROW(registry::decode_image(message, asked.with_digest(image.top_digest)));
  EXPECT_THROW(registry::decode_image(message, asked.with_digest(image.manifest_digest)),
               base::Error);
  EXPECT_THROW(registry::decode_image(message.substr(0, message.size() - 1), asked), base::Error);
  EXPECT_THROW(registry::decode_image(message + "x", asked), base::Error);
}

}  // namespace
