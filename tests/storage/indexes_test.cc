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
