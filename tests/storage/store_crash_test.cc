// Kills each changing function before each of its changing system calls and looks at what is left.
#include <gtest/gtest.h>

#include "tests/storage/store_support.h"
#include "tests/storage/syscall_tracer.h"

namespace {

using namespace storage_test;
using storage::ContainerStatus;
using storage::Store;

struct Case {
  const char* name;
  std::function<void(Store&)> prepare;
  std::function<void(Store&)> act;
  std::function<bool(Store&)> happened;  // whether the rows say so
  // Before the next sweep; what must be true in both outcomes.
  std::function<void(Store&)> check = [](Store&) {};
};

void add_two_images(Store& store) {
  add_image(store, hex('a'), "alpine", {hex('1'), hex('2')});
  add_image(store, hex('b'), "debian", {hex('1')});
}

void add_stopped_container(Store& store) {
  add_two_images(store);
  storage::ContainerRow row = make_container(hex('c'), "web", hex('a'));
  row.status = ContainerStatus::kExited;
  store.add_container(row, lease_from(1, 10));
  base::make_dirs(store.container_dir(row.id) / "upper");
}

std::vector<Case> cases() {
  return {
      {.name = "publish_layer",
       .prepare = [](Store&) {},
       .act = [](Store& store) { publish(store, hex('1')); },
       .happened = [](Store& store) { return store.has_layer(hex('1')); },
       .check =
           [](Store& store) {
             if (!store.has_layer(hex('1'))) return;
             EXPECT_EQ(base::find_file(store.layer_dir(hex('1')) / kLayerFile), hex('1'));
           }},
      {.name = "pull",
       .prepare = [](Store& store) { add_image(store, hex('b'), "alpine", {hex('1')}); },
       .act =
           [](Store& store) {
             add_image(store, hex('a'), "alpine", {hex('1'), hex('2')});
           },
       .happened = [](Store& store) { return store.find_image(hex('a')).has_value(); },
       .check =
           [](Store& store) {
             // The name is never without an image.
             const bool is_new = store.find_image(hex('a')).has_value();
             EXPECT_EQ(store.find_image("alpine")->id.hex(), is_new ? hex('a') : hex('b'));
           }},
      {.name = "tag_image",
       .prepare = add_two_images,
       .act =
           [](Store& store) {
             store.tag_image(oci::ImageId::from_hex(hex('a')), oci::Reference::parse("mine"));
           },
       .happened = [](Store& store) { return store.find_image("mine").has_value(); }},
      {.name = "remove_image",
       .prepare = add_two_images,
       .act = [](Store& store) { store.remove_image("alpine", Store::Force::kNo); },
       .happened = [](Store& store) { return !store.find_image(hex('a')); }},
      {.name = "remove_image under a stopped container",
       .prepare = add_stopped_container,
       .act = [](Store& store) { store.remove_image("alpine", Store::Force::kYes); },
       .happened = [](Store& store) { return !store.find_image(hex('a')); },
       .check =
           [](Store& store) {
             const auto image = store.load_image(oci::ImageId::from_hex(hex('a')));
             for (const std::string& key : image.layer_keys) {
               EXPECT_TRUE(fs::exists(store.layer_dir(key) / kLayerFile));
             }
           }},
      {.name = "add_container",
       .prepare = add_two_images,
       .act =
           [](Store& store) {
             store.add_container(make_container(hex('c'), "web", hex('a')), lease_from(1, 10));
           },
       .happened = [](Store& store) { return store.find_container("web").has_value(); },
       .check =
           [](Store& store) {
             EXPECT_EQ(store.find_lease(hex('c'), "bridge").has_value(),
                       store.find_container("web").has_value());
           }},
      {.name = "update_container",
       .prepare = add_stopped_container,
       .act =
           [](Store& store) {
             store.modify_container(hex('c'), [](storage::ContainerRow& row) {
               row.status = ContainerStatus::kRunning;
               row.options = "{}";
             });
           },
       .happened =
           [](Store& store) {
             return store.find_container("web")->status == ContainerStatus::kRunning;
           },
       .check =
           [](Store& store) {
             const auto row = store.find_container("web");
             EXPECT_EQ(row->options == "{}", row->status == ContainerStatus::kRunning);
           }},
      {.name = "remove a container",
       .prepare = add_stopped_container,
       .act =
           [](Store& store) {
             store.modify_container(hex('c'), [](storage::ContainerRow& row) {
               row.status = ContainerStatus::kRemoving;
             });
             store.move_to_trash(store.container_dir(hex('c')));
             store.remove_container(hex('c'));
           },
       .happened =
           [](Store& store) {
             const auto row = store.find_container("web");
             return !row || row->status == ContainerStatus::kRemoving;
           },
       .check =
           [](Store& store) {
             const auto row = store.find_container("web");
             const bool whole = row && row->status == ContainerStatus::kExited;
             if (whole) {
               EXPECT_TRUE(fs::exists(store.container_dir(hex('c')) / "upper"));
             }
             store.sweep(Store::Sweep::kQuick);
             // The next command finishes what was begun.
             EXPECT_EQ(store.find_container("web").has_value(), whole);
             EXPECT_EQ(fs::exists(store.container_dir(hex('c'))), whole);
             EXPECT_EQ(store.list_leases().size(), whole ? 1U : 0U);
           }},
      {.name = "remove the last container of a hidden image",
       .prepare =
           [](Store& store) {
             add_stopped_container(store);
             store.remove_image("alpine", Store::Force::kYes);
           },
       .act =
           [](Store& store) {
             base::remove_tree(store.container_dir(hex('c')));
             store.remove_container(hex('c'));
           },
       .happened = [](Store& store) { return !store.find_container("web"); }},
      {.name = "add_volume",
       .prepare = [](Store&) {},
       .act =
           [](Store& store) {
             store.add_volume({.name = "data", .anonymous = false, .labels = "{}", .created = 1});
           },
       .happened = [](Store& store) { return store.find_volume("data").has_value(); },
       .check =
           [](Store& store) {
             if (store.find_volume("data")) {
               EXPECT_TRUE(fs::exists(store.volume_dir("data")));
             }
           }},
      {.name = "remove_volume",
       .prepare =
           [](Store& store) {
             store.add_volume({.name = "data", .anonymous = false, .labels = "{}", .created = 1});
             base::write_file(store.volume_dir("data") / "file", "x");
           },
       .act = [](Store& store) { store.remove_volume("data"); },
       .happened = [](Store& store) { return !fs::exists(store.volume_dir("data")); },
       .check =
           [](Store& store) {
             // Data without a row would never go.
             if (fs::exists(store.volume_dir("data"))) {
               EXPECT_TRUE(store.find_volume("data"));
             }
             if (store.find_volume("data")) store.remove_volume("data");
           }},
      {.name = "sweep",
       .prepare =
           [](Store& store) {
             add_two_images(store);
             base::make_dirs(store.staging_dir() / "dead" / "a");
             base::make_dirs(store.layer_dir(hex('4')));
             base::make_dirs(store.container_dir(hex('d')));
             base::make_dirs(store.volume_dir("unknown"));
             base::make_dirs(store.root() / "trash" / "a" / "b");
             publish(store, hex('5'));
             store.database().execute("UPDATE layers SET created=0 WHERE boot<>''");
           },
       .act = [](Store& store) { store.sweep(Store::Sweep::kThorough); },
       .happened = [](Store& store) { return !store.has_layer(hex('5')); }},
      {.name = "checkpoint",
       .prepare =
           [](Store& store) {
             for (int i = 0; i < 600; ++i) store.add_event("container", "test", "x");
           },
       .act =
           [](Store& store) {
             store.add_event("container", "last", "x");  // sees the length of the log
             store.checkpoint();
           },
       .happened =
           [](Store& store) {
             const auto events = store.list_events(0);
             const bool added = events.back().action == "last";
             EXPECT_EQ(events.size(), added ? 601U : 600U);
             store.add_event("container", "after", "x");
             const bool is_short = store.database().log_frames() < 50;
             EXPECT_TRUE(added || !is_short);
             return is_short;
           }},
  };
}

class StoreCrash : public testing::TestWithParam<Case> {};

void copy_store(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

TEST_P(StoreCrash, LeavesOldOrNewStateAndWhatASweepRemoves) {
  const Case& tested = GetParam();
  const TempRoot root;
  const fs::path prepared = root.path() / "prepared";
  {
    Store store(prepared);
    tested.prepare(store);
  }
  bool before_seen = false;
  bool after_seen = false;
  for (int step = 0;; ++step) {
    SCOPED_TRACE("killed before changing call " + std::to_string(step));
    copy_store(prepared, root.store());
    const TracedRun run = run_traced(
        [&] {
          Store store(root.store());
          tested.act(store);
        },
        step);
    Store store(root.store());
    expect_consistent(store);
    const bool happened = tested.happened(store);
    (happened ? after_seen : before_seen) = true;
    if (run.finished) {
      EXPECT_TRUE(happened);
    }
    tested.check(store);
    store.sweep(Store::Sweep::kThorough);
    expect_consistent(store);
    expect_swept(store);
    if (run.finished || HasFailure()) break;
  }
  EXPECT_TRUE(before_seen);
  EXPECT_TRUE(after_seen);
}

INSTANTIATE_TEST_SUITE_P(Functions, StoreCrash, testing::ValuesIn(cases()), [](const auto& tested) {
  std::string name = tested.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

TEST(StoreFirstOpening, CanBeKilledAnywhere) {
  const TempRoot root;
  for (int step = 0;; ++step) {
    SCOPED_TRACE("killed before changing call " + std::to_string(step));
    fs::remove_all(root.store());
    const TracedRun run = run_traced([&] { Store store(root.store()); }, step);
    Store store(root.store());
    add_image(store, hex('a'), "alpine", {hex('1')});
    expect_consistent(store);
    if (run.finished || HasFailure()) break;
  }
}

}  // namespace
