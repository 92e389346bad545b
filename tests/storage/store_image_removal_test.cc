#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::ContainerStatus;
using storage::Store;
using Lines = std::vector<std::string>;
using enum Store::Force;

void add_container(Store& store, char id, const std::string& image, ContainerStatus status) {
  storage::ContainerRow row = make_container(hex(id), std::string("c") + id, image);
  row.status = status;
  store.add_container(row, std::nullopt);
}

std::string digest_name(const std::string& name, char digit) {
  return name + "@sha256:" + hex(digit);
}

TEST(StoreImageRemoval, TheLastNameTakesTheImageAndItsOwnLayers) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19", {hex('1'), hex('2')});
  add_image(store, hex('b'), "debian", {hex('1'), hex('3')});
  const Store::Untagged removed = store.remove_image("alpine:3.19", kNo);
  EXPECT_EQ(removed.names, (Lines{"alpine:3.19", digest_name("alpine", 'a')}));
  ASSERT_TRUE(removed.deleted);
  EXPECT_EQ(removed.deleted->hex(), hex('a'));
  EXPECT_EQ(removed.layers, Lines{hex('2')});
  EXPECT_TRUE(store.has_layer(hex('1')));
  EXPECT_FALSE(store.has_layer(hex('2')));
  EXPECT_EQ(entries_of(root.store() / "layers"), (Lines{hex('1'), hex('3')}));
  store.sweep(Store::Sweep::kThorough);
  expect_consistent(store);
  expect_swept(store);
  error_of(base::ErrorKind::kNotFound, [&] { store.remove_image("alpine:3.19", kNo); });
}

TEST(StoreImageRemoval, OneOfManyNamesIsOnlyUntagged) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19", {hex('1')});
  store.tag_image(oci::ImageId::from_hex(hex('a')), oci::Reference::parse("alpine:3"));
  const Store::Untagged removed = store.remove_image("alpine:3.19", kNo);
  EXPECT_EQ(removed.names, Lines{"alpine:3.19"});
  EXPECT_FALSE(removed.deleted);
  EXPECT_TRUE(store.find_image("alpine:3"));
  EXPECT_TRUE(store.find_image(digest_name("alpine", 'a')));
}

TEST(StoreImageRemoval, TheDigestOfARepositoryGoesWithItsLastTag) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19");
  store.tag_image(oci::ImageId::from_hex(hex('a')), oci::Reference::parse("mine"));
  const Store::Untagged removed = store.remove_image("alpine:3.19", kNo);
  EXPECT_EQ(removed.names, (Lines{"alpine:3.19", digest_name("alpine", 'a')}));
  EXPECT_FALSE(removed.deleted);
  EXPECT_TRUE(store.find_image("mine"));
}

TEST(StoreImageRemoval, ByIdTakesAllNames) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine:3.19");
  const Store::Untagged removed = store.remove_image("aaaa", kNo);
  EXPECT_EQ(removed.names, (Lines{"alpine:3.19", digest_name("alpine", 'a')}));
  EXPECT_TRUE(removed.deleted);
}

TEST(StoreImageRemoval, ByIdNeedsForceWithSeveralRepositories) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  store.tag_image(oci::ImageId::from_hex(hex('a')), oci::Reference::parse("mine"));
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { store.remove_image(hex('a'), kNo); }),
            "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is referenced in "
            "multiple repositories");
  const Store::Untagged removed = store.remove_image(hex('a'), kYes);
  EXPECT_EQ(removed.names, (Lines{"alpine:latest", "mine:latest", digest_name("alpine", 'a')}));
  EXPECT_TRUE(removed.deleted);
}

TEST(StoreImageRemoval, ANamelessImageGoesById) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  add_image(store, hex('b'), "alpine", {hex('2')});
  const Store::Untagged removed = store.remove_image(hex('a'), kNo);
  EXPECT_EQ(removed.names, Lines{digest_name("alpine", 'a')});
  EXPECT_TRUE(removed.deleted);
  EXPECT_TRUE(store.find_image("alpine"));
}

TEST(StoreImageRemoval, AContainerKeepsTheLastName) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  add_container(store, 'c', hex('a'), ContainerStatus::kExited);
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { store.remove_image("alpine", kNo); }),
            "conflict: unable to remove repository reference \"alpine\" (must force) - container "
            "cccccccccccc is using its referenced image aaaaaaaaaaaa");
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { store.remove_image("aaaa", kNo); }),
            "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is being used by "
            "stopped container cccccccccccc");
  EXPECT_TRUE(store.find_image("alpine"));
  store.tag_image(oci::ImageId::from_hex(hex('a')), oci::Reference::parse("other"));
  EXPECT_EQ(store.remove_image("other", kNo).names, Lines{"other:latest"});
}

TEST(StoreImageRemoval, ARunningContainerKeepsTheImageEvenFromForce) {
  for (const auto status : {ContainerStatus::kRunning, ContainerStatus::kPaused}) {
    const TempRoot root;
    Store store(root.store());
    add_image(store, hex('a'), "alpine", {hex('1')});
    add_container(store, 'c', hex('a'), status);
    EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { store.remove_image("aaaa", kYes); }),
              "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - image is being used by "
              "running container cccccccccccc");
    const Store::Untagged removed = store.remove_image("alpine", kYes);
    EXPECT_EQ(removed.names, (Lines{"alpine:latest", digest_name("alpine", 'a')}));
    EXPECT_FALSE(removed.deleted);
    EXPECT_FALSE(store.find_image("alpine"));
    EXPECT_TRUE(store.find_image("aaaa"));
    expect_consistent(store);
  }
}

TEST(StoreImageRemoval, AStoppedContainerKeepsItsLayersUntilItGoes) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  add_container(store, 'c', hex('a'), ContainerStatus::kExited);
  add_container(store, 'd', hex('a'), ContainerStatus::kExited);
  const Store::Untagged removed = store.remove_image("alpine", kYes);
  EXPECT_TRUE(removed.deleted);
  EXPECT_TRUE(removed.layers.empty());
  EXPECT_FALSE(store.find_image("alpine"));
  EXPECT_FALSE(store.find_image("aaaa"));
  EXPECT_FALSE(store.find_image(hex('a')));
  EXPECT_TRUE(store.list_images().empty());
  // A stopped container can still be started.
  EXPECT_EQ(store.load_image(oci::ImageId::from_hex(hex('a'))).layer_keys, Lines{hex('1')});
  EXPECT_EQ(base::read_file(store.layer_dir(hex('1')) / kLayerFile), hex('1'));
  error_of(base::ErrorKind::kNotFound,
           [&] { add_container(store, 'e', hex('a'), ContainerStatus::kCreated); });
  store.remove_container(hex('c'));
  EXPECT_TRUE(store.has_layer(hex('1')));
  store.remove_container(hex('d'));
  EXPECT_FALSE(store.has_layer(hex('1')));
  error_of(base::ErrorKind::kNotFound, [&] { store.load_image(oci::ImageId::from_hex(hex('a'))); });
  EXPECT_TRUE(entries_of(root.store() / "layers").empty());
}

TEST(StoreImageRemoval, ANewPullBringsAHiddenImageBack) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1')});
  add_container(store, 'c', hex('a'), ContainerStatus::kExited);
  store.remove_image("alpine", kYes);
  add_image(store, hex('a'), "alpine", {hex('1')});
  store.remove_container(hex('c'));
  EXPECT_TRUE(store.find_image("alpine"));
  EXPECT_TRUE(store.has_layer(hex('1')));
}

TEST(StoreImageRemoval, SaysDockersWordsForUnknownNames) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound, [&] { store.remove_image("nginx", kNo); }),
            "No such image: nginx:latest");
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound, [&] { store.remove_image(hex('a'), kNo); }),
            "No such image: " + hex('a'));
}

TEST(StoreImageRemoval, LeavesLayersThatAPullHolds) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine", {hex('1'), hex('2')});
  {
    Store puller(root.store());
    const base::UniqueFd held = puller.hold_layers();
    ASSERT_TRUE(puller.has_layer(hex('1')));
    EXPECT_TRUE(store.remove_image("alpine", kNo).deleted);
    store.sweep(Store::Sweep::kThorough);
    EXPECT_TRUE(puller.has_layer(hex('1')));
    puller.add_image(make_image(hex('b'), {hex('1')}), oci::Reference::parse("other"),
                     oci::Digest::from_hex(hex('b')));
  }
  store.sweep(Store::Sweep::kThorough);  // nobody holds them now: the other one goes
  EXPECT_TRUE(store.has_layer(hex('1')));
  EXPECT_FALSE(store.has_layer(hex('2')));
  expect_consistent(store);
  expect_swept(store);
}

// A layer that depends on those below is there twice: as such and as the copy that an image uses.
TEST(StoreImageRemoval, TakesTheLayersThatItsOwnAreCopiesOf) {
  const TempRoot root;
  Store store(root.store());
  for (const char key : {'1', '2', '3'}) publish(store, hex(key));
  for (const char id : {'a', 'b'}) {
    storage::ImageRow image = make_image(hex(id), {hex(id == 'a' ? '2' : '3')});
    image.layers = {oci::DiffId::from_hex(hex('1'))};
    store.add_image(image, oci::Reference::parse(std::string("image") + id),
                    oci::Digest::from_hex(hex(id)));
  }
  EXPECT_EQ(store.remove_image("imagea", kNo).layers, Lines{hex('2')});
  store.database().execute("UPDATE layers SET created=0");
  store.sweep(Store::Sweep::kThorough);
  EXPECT_TRUE(store.has_layer(hex('1')));
  EXPECT_EQ(store.remove_image("imageb", kNo).layers, (Lines{hex('3'), hex('1')}));
  EXPECT_TRUE(entries_of(root.store() / "layers").empty());
}

TEST(StoreImageRemoval, IsRecordedAsEvents) {
  const TempRoot root;
  Store store(root.store());
  add_image(store, hex('a'), "alpine");
  const std::int64_t before = store.list_events(0).back().id;
  store.remove_image("alpine", kNo);
  Lines actions;
  for (const storage::Event& event : store.list_events(before)) {
    actions.push_back(event.action + " " + event.actor);
  }
  const std::string actor = "sha256:" + hex('a');
  EXPECT_EQ(actions, (Lines{"untag " + actor, "untag " + actor, "delete " + actor}));
}

}  // namespace
