#include "storage/indexes.h"

#include <gtest/gtest.h>

#include "storage/unused_images.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Store;

oci::Digest digest(char digit) { return oci::Digest::from_hex(hex(digit)); }
oci::ImageId image(char digit) { return oci::ImageId::from_hex(hex(digit)); }

// An index of three manifests; the images 'a' and 'b' have those of their own names.
const storage::KeptIndex kIndex{.digest = digest('e'),
                                .bytes = "{ as served }\n",
                                .manifests = {digest('a'), digest('b'), digest('c')}};

void pull(Store& store, char id, std::string_view name = "app:1") {
  storage::ImageRow row = make_image(hex(id), {});
  row.manifest_digest = digest(id);
  const auto reference = oci::Reference::parse(name);
  keep_index(store, kIndex, reference, row.id);
  store.add_image(row, reference, kIndex.digest);
}

TEST(Indexes, AreKeptAsServedAsLongAsTheyHaveAName) {
  const TempRoot root;
  Store store(root.store());
  pull(store, 'a');
  EXPECT_EQ(find_index(store, digest('e')), kIndex.bytes);
  EXPECT_FALSE(find_index(store, digest('a')));
  EXPECT_EQ(indexes_of_image(store, image('a')), std::vector{digest('e')});
  pull(store, 'a', "lan:5000/other:1");
  store.remove_image("app:1", Store::Force::kNo);
  EXPECT_TRUE(find_index(store, digest('e')));
  store.remove_image("lan:5000/other:1", Store::Force::kNo);
  EXPECT_FALSE(find_index(store, digest('e')));
}

TEST(Indexes, ContainedOnesStayAsLongAsOneThatContainsThem) {
  const TempRoot root;
  Store store(root.store());
  const storage::KeptIndex inner{
      .digest = digest('1'), .bytes = "{ inner }", .manifests = {digest('a')}};
  const auto pull_outer = [&](char outer, std::string_view name) {
    storage::ImageRow row = make_image(hex('a'), {});
    row.manifest_digest = digest('a');
    const auto reference = oci::Reference::parse(name);
    keep_index(store,
               {.digest = digest(outer),
                .bytes = "{ outer }",
                .manifests = {digest('1'), digest('a')},
                .inner = {inner}},
               reference, row.id);
    store.add_image(row, reference, digest(outer));
  };
  pull_outer('2', "app:2");
  pull_outer('3', "other:3");
  EXPECT_EQ(find_index(store, digest('1')), "{ inner }");
  EXPECT_EQ(images_of_index(store, digest('2')), std::vector{image('a')});
  // It has no name of its own, and is in the way of none that it has not.
  EXPECT_EQ(indexes_of_image(store, image('a')), (std::vector{digest('2'), digest('3')}));
  store.remove_image("app:2", Store::Force::kNo);
  EXPECT_FALSE(find_index(store, digest('2')));
  EXPECT_TRUE(find_index(store, digest('1')));
  store.remove_image("other:3", Store::Force::kNo);
  EXPECT_FALSE(find_index(store, digest('3')));
  EXPECT_FALSE(find_index(store, digest('1')));
}

TEST(Indexes, LearnWhatTheyLeadTo) {
  const TempRoot root;
  Store store(root.store());
  pull(store, 'a');
  storage::KeptIndex more = kIndex;
  more.manifests = {digest('d')};  // by an index that it contains
  keep_index(store, more, oci::Reference::parse("app:1"), image('a'));
  storage::ImageRow row = make_image(hex('d'), {});
  row.manifest_digest = digest('d');
  store.add_image(row, oci::Reference::parse("app@" + digest('d').str()), digest('d'));
  EXPECT_EQ(images_of_index(store, digest('e')), (std::vector{image('a'), image('d')}));
}

TEST(Indexes, APushedImageHasANameByDigest) {
  const TempRoot root;
  Store store(root.store());
  pull(store, 'a');
  const auto name = oci::Reference::parse("lan:5000/copy:1");
  store.tag_image(image('a'), name);
  add_pushed_name(store, image('a'), name, digest('e'));
  add_pushed_name(store, image('a'), name, digest('e'));
  EXPECT_EQ(store.find_image("lan:5000/copy@" + digest('e').str())->id, image('a'));
  // One that is gone meanwhile gets none.
  add_pushed_name(store, image('f'), name, digest('f'));
  EXPECT_FALSE(store.find_image("lan:5000/copy@" + digest('f').str()));
  store.remove_image("app:1", Store::Force::kNo);
  EXPECT_TRUE(find_index(store, digest('e')));
  store.remove_image("lan:5000/copy:1", Store::Force::kNo);
  EXPECT_FALSE(find_index(store, digest('e')));
}

TEST(Indexes, PlatformsSideBySideDoNotLoseOneAnother) {
  const TempRoot root;
  Store store(root.store());
  pull(store, 'a');
  pull(store, 'b');
  EXPECT_EQ(store.find_image("app:1")->id, image('b'));
  EXPECT_EQ(store.find_image("app@" + digest('e').str())->id, image('b'));
  EXPECT_EQ(store.find_image("app@" + digest('a').str())->id, image('a'));
  EXPECT_EQ(images_of_index(store, digest('e')), (std::vector{image('a'), image('b')}));
  // The one without a tag is no garbage as long as the other has one.
  EXPECT_FALSE(remove_unused_image(store, image('a'), storage::Unused::kUntagged));
  EXPECT_EQ(images_beside_tags(store), (std::set{image('a'), image('b')}));
  pull(store, 'a');  // and back
  EXPECT_EQ(store.find_image("app:1")->id, image('a'));
  EXPECT_EQ(store.find_image("app@" + digest('b').str())->id, image('b'));
  store.remove_image("app:1", Store::Force::kNo);
  EXPECT_TRUE(images_beside_tags(store).empty());
  EXPECT_TRUE(remove_unused_image(store, image('b'), storage::Unused::kUntagged));
}

// As pull(), for a platform: 'a' is for s390x, 'b' for riscv64.
void pull_for_platform(Store& store, char id, std::string_view name = "app:1") {
  const std::string architecture = id == 'a' ? "s390x" : "riscv64";
  storage::ImageRow row = make_image(hex(id), {});
  row.manifest_digest = digest(id);
  row.config = R"({"os":"linux","rootfs":{"type":"layers","diff_ids":[]},"architecture":")" +
               architecture + "\"}";
  const auto reference = oci::Reference::parse(name);
  keep_index(store, kIndex, reference, row.id);
  store.add_image(row, reference, kIndex.digest);
}

const auto kS390x = oci::Platform::parse("linux/s390x");
const auto kRiscv = oci::Platform::parse("linux/riscv64");

TEST(Indexes, APlatformOfANameIsFound) {
  const TempRoot root;
  Store store(root.store());
  pull_for_platform(store, 'a');
  pull_for_platform(store, 'b');
  EXPECT_EQ(load_image_for(store, "app:1", kS390x).id, image('a'));
  EXPECT_EQ(load_image_for(store, "app:1", kRiscv).id, image('b'));
  EXPECT_EQ(load_image_for(store, "app:1", std::nullopt).id, image('b'));
  const auto refused = [&](std::string_view name) {
    return error_of(base::ErrorKind::kNotFound,
                    [&] { load_image_for(store, name, oci::Platform::parse("linux/arm/v7")); });
  };
  EXPECT_EQ(refused("app:1"),
            "image with reference app:1 was found but does not provide the specified platform "
            "(linux/arm/v7)");
  EXPECT_EQ(refused("absent"), "No such image: absent:latest");
}

TEST(Indexes, TheNameGoesOnToAnotherPlatform) {
  const TempRoot root;
  Store store(root.store());
  pull_for_platform(store, 'a');
  pull_for_platform(store, 'b');
  store.tag_image(image('b'), oci::Reference::parse("app:2"));
  auto removed = remove_image_for(store, "app:1", kRiscv, Store::Force::kNo);
  EXPECT_EQ(removed.deleted, image('b'));
  EXPECT_FALSE(store.find_image(hex('b')));
  // All tags of the index, and its digest.
  for (const std::string& name :
       std::vector<std::string>{"app:1", "app:2", "app@sha256:" + hex('e')}) {
    ASSERT_TRUE(store.find_image(name)) << name;
    EXPECT_EQ(store.find_image(name)->id, image('a')) << name;
  }
  EXPECT_TRUE(find_index(store, digest('e')));
  // The last one goes as by its name: the other tag keeps it.
  removed = remove_image_for(store, "app:1", kS390x, Store::Force::kNo);
  EXPECT_FALSE(removed.deleted);
  EXPECT_EQ(removed.names, std::vector<std::string>{"app:1"});
  EXPECT_TRUE(store.find_image("app:2"));
}

TEST(Indexes, APlatformBesideTheNameGoesWithoutIt) {
  const TempRoot root;
  Store store(root.store());
  pull_for_platform(store, 'a');
  pull_for_platform(store, 'b');
  const auto removed = remove_image_for(store, "app:1", kS390x, Store::Force::kNo);
  EXPECT_EQ(removed.deleted, image('a'));
  EXPECT_EQ(store.find_image("app:1")->id, image('b'));
  error_of(base::ErrorKind::kNotFound,
           [&] { remove_image_for(store, "app:1", kS390x, Store::Force::kNo); });
}

TEST(Indexes, APlatformThatOthersNameIsNotTakenFromThem) {
  const TempRoot root;
  Store store(root.store());
  pull_for_platform(store, 'a');
  pull_for_platform(store, 'b');
  store.tag_image(image('b'), oci::Reference::parse("mine:1"));  // no name of that index
  const auto message = error_of(base::ErrorKind::kConflict, [&] {
    remove_image_for(store, "app:1", kRiscv, Store::Force::kNo);
  });
  EXPECT_NE(message.find("must be forced"), std::string::npos) << message;
  EXPECT_EQ(store.find_image("app:1")->id, image('b'));  // nothing has moved
  remove_image_for(store, "app:1", kRiscv, Store::Force::kYes);
  EXPECT_FALSE(store.find_image("mine:1"));
  EXPECT_EQ(store.find_image("app:1")->id, image('a'));
}

// One platform did not change from a version to the next: no version's tag may become the other's.
TEST(Indexes, ATagNeverGoesOnToAnotherVersion) {
  const TempRoot root;
  Store store(root.store());
  pull_for_platform(store, 'b');
  pull_for_platform(store, 'a');
  const storage::ImageRow row = store.load_image(image('a'));
  const storage::KeptIndex next{
      .digest = digest('d'), .bytes = "{ next }", .manifests = {digest('a'), digest('9')}};
  const auto name = oci::Reference::parse("app:2");
  keep_index(store, next, name, row.id);
  store.add_image(row, name, next.digest);
  ASSERT_EQ(indexes_of_image(store, image('a')).size(), 2U);
  remove_image_for(store, "app:2", kS390x, Store::Force::kNo);
  EXPECT_FALSE(store.find_image("app:2"));
  EXPECT_EQ(store.find_image("app:1")->id, image('a'));
}

// Only what shares the index is kept: a tag that moves on to another version leaves garbage, as
// with docker.
TEST(Indexes, AnOlderVersionIsNoPlatform) {
  const TempRoot root;
  Store store(root.store());
  pull(store, 'a');
  storage::ImageRow row = make_image(hex('d'), {});
  row.manifest_digest = digest('d');
  const storage::KeptIndex newer{
      .digest = digest('f'), .bytes = "newer", .manifests = {digest('d')}};
  keep_index(store, newer, oci::Reference::parse("app:1"), row.id);
  store.add_image(row, oci::Reference::parse("app:1"), newer.digest);
  EXPECT_TRUE(remove_unused_image(store, image('a'), storage::Unused::kUntagged));
  EXPECT_FALSE(find_index(store, digest('e')));
}

}  // namespace
