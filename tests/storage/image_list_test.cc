#include "storage/image_list.h"

#include <ctime>
#include <set>

#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::ImageDigests;
using storage::ImageLine;
using storage::Store;

std::vector<std::string> shown(Store& store, ImageDigests digests) {
  std::vector<std::string> lines;
  for (const ImageLine& line : storage::list_image_lines(store, digests)) {
    lines.push_back(line.id.substr(0, 1) + " " + line.repository + ":" + line.tag +
                    (line.digest.empty() ? "" : "@" + line.digest.substr(0, 1)));
  }
  return lines;
}

using Lines = std::vector<std::string>;

void add(Store& store, char id, std::string_view name, char digest, base::Nanoseconds created) {
  storage::ImageRow image = make_image(hex(id), {});
  image.created = created;
  store.add_image(image, oci::Reference::parse(name), oci::Digest::from_hex(hex(digest)));
}

TEST(ImageList, IsDockersOrderAndPairsTagsWithDigests) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_TRUE(storage::list_image_lines(store).empty());
  add(store, 'c', "old", '1', 10);
  add(store, 'b', "x.io/team/app:2", '2', 30);
  store.tag_image(oci::ImageId::from_hex(hex('b')), oci::Reference::parse("x.io/team/app:1"));
  store.tag_image(oci::ImageId::from_hex(hex('b')), oci::Reference::parse("another"));
  add(store, 'b', "x.io/team/app@sha256:" + hex('3'), '3', 30);
  add(store, 'a', "only@sha256:" + hex('4'), '4', 20);
  add(store, 'a', "only@sha256:" + hex('5'), '5', 20);
  store.add_local_image(make_image(hex('9'), {}), std::nullopt, "import");
  EXPECT_EQ(shown(store, ImageDigests::kNone),
            (Lines{"b docker.io/library/another:latest", "b x.io/team/app:1", "b x.io/team/app:2",
                   "a docker.io/library/only:", "c docker.io/library/old:latest", "9 :"}));
  EXPECT_EQ(
      shown(store, ImageDigests::kEach),
      (Lines{"b docker.io/library/another:latest", "b x.io/team/app:1@2", "b x.io/team/app:1@3",
             "b x.io/team/app:2@2", "b x.io/team/app:2@3", "a docker.io/library/only:@4",
             "a docker.io/library/only:@5", "c docker.io/library/old:latest@1", "9 :"}));
}

TEST(ImageList, DoesNotShowWhatIsHidden) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  store.add_container(make_container(hex('1'), "user", hex('a')), {});
  store.remove_image("alpine", Store::Force::kYes);
  EXPECT_TRUE(storage::list_image_lines(store).empty());
}

// Of rows with long texts only an index is read.
TEST(ImageList, TouchesNoRow) {
  const TempRoot root;
  Store store(root.store());
  storage::Statement plan = store.database().prepare(
      "EXPLAIN QUERY PLAN SELECT id,size,created FROM images WHERE hidden=0 "
      "ORDER BY created DESC,id");
  ASSERT_TRUE(plan.step());
  EXPECT_EQ(plan.text(3), "SEARCH images USING COVERING INDEX image_list (hidden=?)");
  EXPECT_FALSE(plan.step());
}

TEST(ImageList, FindsEachImagesNamesAmongMany) {
  const TempRoot root;
  Store store(root.store());
  for (int i = 0; i < 300; ++i) {
    const std::string number = std::to_string(i);
    storage::ImageRow image = make_image(base::random_hex(32), {});
    image.created = i;
    const oci::ImageId id = image.id;
    store.add_local_image(image, oci::Reference::parse("first" + number), "import");
    if (i % 3 == 0) store.tag_image(id, oci::Reference::parse("second" + number));
  }
  std::set<std::string> names;
  for (const ImageLine& line : storage::list_image_lines(store)) {
    const std::size_t digits = line.repository.find_first_of("0123456789");
    EXPECT_EQ(line.repository.substr(digits), std::to_string(line.created));
    EXPECT_TRUE(names.insert(line.repository).second) << line.repository;
  }
  EXPECT_EQ(names.size(), 400U);
}

// What the log has and what the database has come together, whatever was mapped.
TEST(ImageList, SeesWhatIsCommittedWhileItIsOpen) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "a");
  EXPECT_EQ(storage::list_image_lines(store).size(), 1U);
  Store other(root.store());
  for (int i = 0; i < 300; ++i) {
    const std::string id = base::random_hex(32);
    storage::ImageRow image = make_image(id, {});
    image.config = std::string(20'000, 'x');
    other.add_local_image(image, std::nullopt, "import");
  }
  other.checkpoint();
  EXPECT_EQ(storage::list_image_lines(store).size(), 301U);
}

}  // namespace
