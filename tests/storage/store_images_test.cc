#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Store;

std::vector<std::string> shown_names(Store& store) {
  std::vector<std::string> lines;
  for (const storage::ImageName& name : store.list_names()) {
    lines.push_back(name.repository + " " + (name.tag.empty() ? "<none>" : name.tag) + " " +
                    (name.digest ? name.digest->hex().substr(0, 2) : "-") + " " +
                    name.image.hex().substr(0, 2));
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(StoreImages, WhatIsAddedComesBack) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_FALSE(store.find_image("alpine"));
  add_image(store, hex('a'), "alpine", {hex('1'), hex('2')});
  const auto image = Store(root.store()).find_image("alpine");
  ASSERT_TRUE(image);
  EXPECT_EQ(image->id.hex(), hex('a'));
  EXPECT_EQ(image->manifest_digest.hex(), hex('a'));
  EXPECT_EQ(image->config, "{\"config\":1}");
  EXPECT_EQ(image->manifest, "{\"manifest\":1}");
  EXPECT_EQ(image->layer_keys, (Lines{hex('1'), hex('2')}));
  ASSERT_EQ(image->layers.size(), 2U);
  EXPECT_EQ(image->layers[1].hex(), hex('2'));
  EXPECT_EQ(image->size, 10U);
  EXPECT_EQ(image->created, 5);
  EXPECT_EQ(image->pulled, 6);
  EXPECT_EQ(store.list_images().size(), 1U);
}

TEST(StoreImages, BytesAreKeptAsServed) {
  const TempRoot root;
  Store store(root.store());
  storage::ImageRow row = make_image(hex('a'), {});
  row.config = std::string("{\0\xff\n}", 5) + std::string(100'000, 'x');
  store.add_image(row, oci::Reference::parse("alpine"), oci::Digest::from_hex(hex('a')));
  EXPECT_EQ(store.find_image("alpine")->config, row.config);
}

TEST(StoreImages, IsFoundAsDockerFindsIt) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, "abc1" + std::string(60, '0'), "alpine:3.19");
  add_image(store, "abc2" + std::string(60, '0'), "localhost:5000/team/app");
  add_image(store, hex('d'), "abc1");  // a name that is also the start of an id
  const auto id_of = [&](std::string_view text) {
    const auto image = store.find_image(text);
    return image ? image->id.hex().substr(0, 4) : "none";
  };
  EXPECT_EQ(id_of("alpine:3.19"), "abc1");
  EXPECT_EQ(id_of("docker.io/library/alpine:3.19"), "abc1");
  EXPECT_EQ(id_of("alpine"), "none");  // that is alpine:latest
  EXPECT_EQ(id_of("alpine@sha256:abc1" + std::string(60, '0')), "abc1");
  EXPECT_EQ(id_of("alpine:other@sha256:abc1" + std::string(60, '0')), "abc1");  // digest decides
  EXPECT_EQ(id_of("localhost:5000/team/app"), "abc2");
  EXPECT_EQ(id_of("abc2"), "abc2");
  EXPECT_EQ(id_of("sha256:abc2"), "abc2");
  EXPECT_EQ(id_of("abc2" + std::string(60, '0')), "abc2");
  EXPECT_EQ(id_of("sha256:abc1" + std::string(60, '0')), "abc1");
  EXPECT_EQ(id_of("abc1"), "dddd");  // a name wins over an id prefix
  EXPECT_EQ(id_of("sha256:abc1"), "abc1");
  EXPECT_EQ(id_of(hex('e')), "none");
  EXPECT_EQ(id_of("abc3"), "none");
  EXPECT_NE(error_of(base::ErrorKind::kInvalid, [&] { id_of("abc"); }).find("ambiguous"),
            std::string::npos);
  error_of(base::ErrorKind::kInvalid, [&] { id_of("Not A Name"); });
}

TEST(StoreImages, ATagMovesAndTheDigestStays) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  add_image(store, hex('b'), "alpine");
  EXPECT_EQ(store.find_image("alpine")->id.hex(), hex('b'));
  EXPECT_EQ(store.find_image("alpine@sha256:" + hex('a'))->id.hex(), hex('a'));
  EXPECT_EQ(shown_names(store), (Lines{"docker.io/library/alpine <none> aa aa",
                                       "docker.io/library/alpine latest bb bb"}));
}

TEST(StoreImages, APullByDigestMakesNoTag) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19@sha256:" + hex('a'));
  EXPECT_EQ(shown_names(store), Lines{"docker.io/library/alpine <none> aa aa"});
  EXPECT_FALSE(store.find_image("alpine:3.19"));
}

TEST(StoreImages, TagsShareTheDigestOfTheirRepository) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19");
  const auto id = oci::ImageId::from_hex(hex('a'));
  store.tag_image(id, oci::Reference::parse("alpine:3"));
  store.tag_image(id, oci::Reference::parse("mine"));
  EXPECT_EQ(shown_names(store),
            (Lines{"docker.io/library/alpine 3 aa aa", "docker.io/library/alpine 3.19 aa aa",
                   "docker.io/library/mine latest - aa"}));
  error_of(base::ErrorKind::kNotFound,
           [&] { store.tag_image(oci::ImageId::from_hex(hex('b')), oci::Reference::parse("x")); });
  error_of(base::ErrorKind::kInvalid,
           [&] { store.tag_image(id, oci::Reference::parse("x@sha256:" + hex('b'))); });
}

TEST(StoreImages, NeedsItsLayers) {
  const TempRoot root;
  Store store(root.store());
  error_of(base::ErrorKind::kUnavailable, [&] {
    store.add_image(make_image(hex('a'), {hex('1')}), oci::Reference::parse("alpine"),
                    oci::Digest::from_hex(hex('a')));
  });
  EXPECT_FALSE(store.find_image("alpine"));
  EXPECT_TRUE(store.list_events(0).empty());
}

TEST(StoreImages, APullIsAnEvent) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19");
  const auto events = store.list_events(0);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(
      events[0].type + " " + events[0].action + " " + events[0].actor + " " + events[0].attributes,
      "image pull alpine:3.19 {\"name\":\"alpine\"}");
}

}  // namespace
