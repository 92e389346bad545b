#include <arpa/inet.h>

#include <gtest/gtest.h>

#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::ContainerRow;
using storage::ContainerStatus;
using storage::Store;
using Lines = std::vector<std::string>;

class StoreContainers : public testing::Test {
 protected:
  StoreContainers() : store_(root_.store()) { add_image(store_, hex('a'), "alpine"); }

  ContainerRow add(char id, std::string_view name, ContainerStatus status = {}) {
    ContainerRow row = make_container(hex(id), name, hex('a'));
    row.status = status;
    row.created = id;
    store_.add_container(row, std::nullopt);
    return row;
  }

  Lines events_after(std::int64_t id) {
    Lines lines;
    for (const storage::Event& event : store_.list_events(id)) {
      if (event.type == "container") lines.push_back(event.action + " " + event.attributes);
    }
    return lines;
  }

  TempRoot root_;
  Store store_;
};

TEST_F(StoreContainers, EveryColumnComesBack) {
  ContainerRow row{.id = hex('c'),
                   .name = "happy_name",
                   .image = oci::ImageId::from_hex(hex('a')),
                   .image_name = "alpine:3.19",
                   .command = "\"sh -c 'a'\"",
                   .status = ContainerStatus::kDead,
                   .created = 11,
                   .started = 12,
                   .finished = 13,
                   .init = {.pid = 14, .start_time = 15},
                   .monitor = {.pid = 16, .start_time = ~0ULL >> 1U},
                   .boot_id = "boot",
                   .exit_code = -1,
                   .oom_killed = true,
                   .auto_remove = true,
                   .error = "e",
                   .options = std::string("{\0}", 3),
                   .ports = "[1]",
                   .labels = "{\"a\":\"b\"}"};
  const auto expect_same = [&] {
    const auto found = Store(root_.store()).find_container(row.id);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, row.id);
    EXPECT_EQ(found->name, row.name);
    EXPECT_EQ(found->image, row.image);
    EXPECT_EQ(found->image_name, row.image_name);
    EXPECT_EQ(found->command, row.command);
    EXPECT_EQ(found->status, row.status);
    EXPECT_EQ(found->created, row.created);
    EXPECT_EQ(found->started, row.started);
    EXPECT_EQ(found->finished, row.finished);
    EXPECT_EQ(found->init, row.init);
    EXPECT_EQ(found->monitor, row.monitor);
    EXPECT_EQ(found->boot_id, row.boot_id);
    EXPECT_EQ(found->exit_code, row.exit_code);
    EXPECT_EQ(found->oom_killed, row.oom_killed);
    EXPECT_EQ(found->auto_remove, row.auto_remove);
    EXPECT_EQ(found->error, row.error);
    EXPECT_EQ(found->options, row.options);
    EXPECT_EQ(found->ports, row.ports);
    EXPECT_EQ(found->labels, row.labels);
  };
  store_.add_container(row, std::nullopt);
  expect_same();
  row = {.id = hex('c'),
         .name = "other",
         .image = oci::ImageId::from_hex(hex('b')),
         .image_name = "x",
         .command = "y",
         .status = ContainerStatus::kPaused,
         .created = 21,
         .started = 22,
         .finished = 23,
         .init = {.pid = 24, .start_time = 25},
         .monitor = {.pid = 26, .start_time = 27},
         .boot_id = "next",
         .exit_code = 137,
         .oom_killed = false,
         .auto_remove = false,
         .error = "",
         .options = "{}",
         .ports = "[]",
         .labels = "{}"};
  store_.update_container(row);
  expect_same();
}

TEST_F(StoreContainers, AreFoundAsDockerFindsThem) {
  add('c', "web");
  ContainerRow row = make_container("cccd" + std::string(60, '0'), "cccc", hex('a'));
  store_.add_container(row, std::nullopt);
  const auto name_of = [&](std::string_view text) {
    const auto found = store_.find_container(text);
    return found ? found->name : "none";
  };
  EXPECT_EQ(name_of(hex('c')), "web");
  EXPECT_EQ(name_of("web"), "web");
  EXPECT_EQ(name_of("/web"), "web");
  EXPECT_EQ(name_of("cccc"), "cccc");  // the name wins over the prefix of the other's id
  EXPECT_EQ(name_of("ccccc"), "web");
  EXPECT_EQ(name_of("cccd"), "cccc");
  EXPECT_EQ(name_of("we"), "none");
  EXPECT_EQ(name_of(""), "none");
  EXPECT_EQ(name_of("d"), "none");
  EXPECT_EQ(error_of(base::ErrorKind::kInvalid, [&] { name_of("ccc"); }),
            "multiple IDs found with provided prefix: ccc");
}

TEST_F(StoreContainers, ANameIsTakenOnce) {
  add('c', "web");
  const std::string words =
      "Conflict. The container name \"/web\" is already in use by container \"" + hex('c') +
      "\". You have to remove (or rename) that container to be able to reuse that name.";
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { add('d', "web"); }), words);
  EXPECT_FALSE(store_.find_container(hex('d')));
  add('d', "db");
  EXPECT_EQ(error_of(base::ErrorKind::kConflict, [&] { store_.rename_container(hex('d'), "web"); }),
            words);
  store_.rename_container(hex('c'), "old");
  store_.rename_container(hex('d'), "web");
  EXPECT_EQ(store_.find_container("web")->id, hex('d'));
  store_.remove_container(hex('c'));
  add('e', "old");
}

TEST_F(StoreContainers, NewestFirst) {
  add('c', "one");
  add('e', "three");
  add('d', "two");
  Lines names;
  for (const ContainerRow& row : store_.list_containers()) names.push_back(row.name);
  EXPECT_EQ(names, (Lines{"three", "two", "one"}));
}

TEST_F(StoreContainers, MissingOnes) {
  const ContainerRow row = make_container(hex('c'), "web", hex('a'));
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound, [&] { store_.update_container(row); }),
            "No such container: " + hex('c'));
  error_of(base::ErrorKind::kNotFound, [&] { store_.rename_container(hex('c'), "x"); });
  EXPECT_FALSE(store_.modify_container(hex('c'), [](ContainerRow&) { FAIL(); }));
  store_.remove_container(hex('c'));
}

TEST_F(StoreContainers, NeedTheirImage) {
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound,
                     [&] {
                       store_.add_container(make_container(hex('c'), "web", hex('f')),
                                            lease_from(1, 5));
                     }),
            "No such image: alpine");
  EXPECT_TRUE(store_.list_leases().empty());
}

TEST_F(StoreContainers, ModifyKeepsWhatAnotherWrote) {
  add('c', "web");
  Store other(root_.store());
  ASSERT_TRUE(other.modify_container(hex('c'), [](ContainerRow& row) { row.exit_code = 7; }));
  const auto row =
      store_.modify_container(hex('c'), [](ContainerRow& changed) { changed.error = "e"; });
  ASSERT_TRUE(row);
  EXPECT_EQ(row->exit_code, 7);
  EXPECT_EQ(other.find_container("web")->error, "e");
}

TEST_F(StoreContainers, AThrowingChangeChangesNothing) {
  add('c', "web");
  EXPECT_THROW(store_.modify_container(hex('c'),
                                       [](ContainerRow& row) {
                                         row.exit_code = 7;
                                         throw std::runtime_error("no");
                                       }),
               std::runtime_error);
  EXPECT_EQ(store_.find_container("web")->exit_code, 0);
  Store(root_.store()).rename_container(hex('c'), "free");  // the lock was let go
}

TEST_F(StoreContainers, ALifeIsRecorded) {
  const std::int64_t before = store_.list_events(0).back().id;
  ContainerRow row = add('c', "web");
  using enum ContainerStatus;
  const auto become = [&](ContainerStatus status) {
    row.status = status;
    store_.update_container(row);
  };
  become(kRunning);
  become(kRunning);  // no change, no event
  become(kPaused);
  become(kRunning);
  row.exit_code = 3;
  become(kExited);
  row.name = "db";
  store_.update_container(row);
  become(kRemoving);
  store_.remove_container(row.id);
  const std::string image = "\"image\":\"alpine\",\"name\":\"web\"}";
  EXPECT_EQ(events_after(before),
            (Lines{"create {" + image, "start {" + image, "pause {" + image, "unpause {" + image,
                   "die {\"exitCode\":\"3\"," + image,
                   "rename {\"image\":\"alpine\",\"name\":\"db\",\"oldName\":\"/web\"}",
                   "destroy {\"image\":\"alpine\",\"name\":\"db\"}"}));
}

TEST_F(StoreContainers, EventsAreBoundedAndEscaped) {
  const std::int64_t first = store_.list_events(0).back().id;
  ContainerRow row = add('c', "web");
  row.name = "a\"b\\c\n";
  store_.update_container(row);
  EXPECT_EQ(store_.list_events(first).back().attributes,
            "{\"image\":\"alpine\",\"name\":\"a\\\"b\\\\c\\u000a\",\"oldName\":\"/web\"}");
  const base::Nanoseconds now = store_.list_events(first).back().time;
  EXPECT_TRUE(store_.list_events(0, now + 1'000'000'000'000).empty());
  for (int i = 0; i < 10'600; ++i) store_.add_event("container", "exec_start", hex('c'));
  const auto events = store_.list_events(0);
  EXPECT_GE(events.size(), 10'000U);
  EXPECT_LT(events.size(), 10'300U);
  EXPECT_EQ(events.back().attributes, "{}");
  store_.checkpoint();
}

}  // namespace
