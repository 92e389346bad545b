#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Store;

TEST(StoreVolumes, AreMadeFoundAndRemoved) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_FALSE(store.find_volume("data"));
  store.add_volume({.name = "data", .anonymous = true, .labels = "{}", .created = 5});
  base::write_file(store.volume_dir("data") / "file", "x");
  const auto again =
      store.add_volume({.name = "data", .anonymous = false, .labels = "{\"a\":1}", .created = 6});
  EXPECT_TRUE(again.anonymous);
  EXPECT_EQ(again.created, 5);
  EXPECT_EQ(base::read_file(store.volume_dir("data") / "file"), "x");
  store.add_volume({.name = "b", .anonymous = false, .labels = "{}", .created = 1});
  const auto rows = store.list_volumes();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].name, "b");
  EXPECT_EQ(rows[1].labels, "{}");
  store.remove_volume("data");
  EXPECT_FALSE(fs::exists(root.store() / "volumes" / "data"));
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound, [&] { store.remove_volume("data"); }),
            "get data: no such volume");
}

TEST(StoreVolumes, OptionsAreKept) {
  const TempRoot root;
  Store store(root.store());
  store.add_volume({.name = "ram", .labels = "{}", .created = 1, .options = R"({"type":"tmpfs"})"});
  EXPECT_EQ(store.find_volume("ram")->options, R"({"type":"tmpfs"})");
  EXPECT_EQ(store.list_volumes().at(0).options, R"({"type":"tmpfs"})");
}

TEST(StoreVolumes, NamesStayBelowTheirFolder) {
  const TempRoot root;
  Store store(root.store());
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a\0b", 3), std::string(256, 'x')}) {
    error_of(base::ErrorKind::kInvalid, [&] {
      store.add_volume({.name = name, .anonymous = false, .labels = "{}", .created = 0});
    });
    error_of(base::ErrorKind::kInvalid, [&] { store.remove_volume(name); });
  }
}

// remove_volume() moves the directory before the row goes.
TEST(StoreVolumes, ALostDirectoryIsMadeAgainOrRemoved) {
  const TempRoot root;
  Store store(root.store());
  const storage::VolumeRow row{.name = "data", .anonymous = false, .labels = "{}", .created = 5};
  store.add_volume(row);
  fs::remove_all(root.store() / "volumes" / "data");
  store.add_volume(row);
  EXPECT_TRUE(fs::is_directory(store.volume_dir("data")));
  fs::remove_all(root.store() / "volumes" / "data");
  store.remove_volume("data");
  EXPECT_FALSE(store.find_volume("data"));
}

TEST(StoreVolumes, TheirChangesAreEvents) {
  const TempRoot root;
  Store store(root.store());
  store.add_volume({.name = "data", .anonymous = false, .labels = "{}", .created = 5});
  store.add_volume({.name = "data", .anonymous = false, .labels = "{}", .created = 5});
  store.remove_volume("data");
  const auto events = store.list_events(0);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].type + events[0].action + events[0].actor, "volumecreatedata");
  EXPECT_EQ(events[1].action, "destroy");
}

TEST(StoreNetworks, AreFoundByNameIdAndUniquePrefix) {
  const TempRoot root;
  Store store(root.store());
  const std::string first = "ab" + std::string(62, '0');
  const std::string second = "ac" + std::string(62, '0');
  store.add_network(
      {.name = "one", .driver = "bridge", .options = "{}", .created = 1, .id = first});
  store.add_network(
      {.name = "ab", .driver = "bridge", .options = "{}", .created = 1, .id = second});
  EXPECT_EQ(store.find_network_by("one")->id, first);
  EXPECT_EQ(store.find_network_by("ab")->id, second);  // a name goes before a prefix
  EXPECT_EQ(store.find_network_by("ab0")->id, first);
  EXPECT_FALSE(store.find_network_by("b"));
  EXPECT_FALSE(store.find_network_by(""));
  error_of(base::ErrorKind::kInvalid, [&] { store.find_network_by("a"); });
}

TEST(StoreNetworks, HostsAreFoundByNameAndAddress) {
  const TempRoot root;
  Store store(root.store());
  store.add_network({.name = "net", .driver = "bridge", .options = "{}", .created = 1});
  store.set_hosts("one", {{"net", "web", "one", 7, "fd00::7"}, {"net", "db", "one", 7, "fd00::7"}});
  store.set_hosts("two", {{"net", "web", "two", 8, ""}});
  EXPECT_EQ(store.find_hosts("net", "web").size(), 2U);
  EXPECT_EQ(store.find_hosts("net", "db").size(), 1U);
  EXPECT_TRUE(store.find_hosts("other", "db").empty());
  EXPECT_EQ(store.find_hosts_at("net", 8, "").at(0).name, "web");
  EXPECT_EQ(store.find_hosts_at("net", 0, "fd00::7").size(), 2U);
  store.set_hosts("one", {});
  EXPECT_EQ(store.find_hosts("net", "web").at(0).container, "two");
  error_of(base::ErrorKind::kNotFound, [&] {
    store.set_hosts("three", {{"gone", "a", "three", 1, ""}});
  });
}

TEST(StoreNetworks, TheFirstRowOfANameStays) {
  const TempRoot root;
  Store store(root.store());
  EXPECT_FALSE(store.find_network("bridge"));
  store.add_network({.name = "bridge", .driver = "bridge", .options = "{\"a\":1}", .created = 5});
  const auto row =
      store.add_network({.name = "bridge", .driver = "x", .options = "{}", .created = 6});
  EXPECT_EQ(row.driver, "bridge");
  EXPECT_EQ(row.options, "{\"a\":1}");
  EXPECT_EQ(store.list_networks().size(), 1U);
  store.set_hosts("container", {{"bridge", "web", "container", 5, ""}});
  EXPECT_NE(error_of(base::ErrorKind::kConflict, [&] { store.remove_network("bridge"); })
                .find("active endpoints"),
            std::string::npos);
  store.set_hosts("container", {});
  store.lease_address("container", lease_from(1, 5));  // made, but not running
  store.remove_network("bridge");
  EXPECT_FALSE(store.find_network("bridge"));
  EXPECT_TRUE(store.list_leases().empty());
  error_of(base::ErrorKind::kNotFound, [&] { store.remove_network("bridge"); });
}

}  // namespace
