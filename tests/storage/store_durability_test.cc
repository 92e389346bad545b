// What must be on disk before what, seen in the order of the system calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage/store_support.h"
#include "tests/storage/syscall_tracer.h"

namespace {

using namespace storage_test;
using storage::Store;
using testing::Contains;
using testing::Not;

class StoreDurability : public testing::Test {
 protected:
  StoreDurability() {
    Store store(root_.store());
    add_image(store, hex('a'), "alpine", {hex('1')});
  }

  std::vector<std::string> calls_of(const std::function<void(Store&)>& work) {
    const TracedRun run = run_traced([&] {
      Store store(root_.store());
      work(store);
    });
    EXPECT_TRUE(run.finished);
    return run.calls;
  }

  static std::vector<std::size_t> places(const std::vector<std::string>& calls,
                                         std::string_view name) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (calls[i] == name) found.push_back(i);
    }
    return found;
  }

  TempRoot root_;
};

TEST_F(StoreDurability, NothingIsSyncedOnThePathOfARun) {
  const auto calls = calls_of([](Store& store) {
    store.sweep(Store::Sweep::kQuick);
    storage::ContainerRow row = make_container(hex('c'), "web", hex('a'));
    store.add_container(row, lease_from(1, 10));
    base::make_dirs(store.container_dir(row.id));
    row.status = storage::ContainerStatus::kRunning;
    store.update_container(row);
    row.status = storage::ContainerStatus::kRemoving;
    store.update_container(row);
    store.move_to_trash(store.container_dir(row.id));
    store.remove_container(row.id);
    store.discard_trash();
    store.checkpoint();  // the log is short: nothing to do
  });
  EXPECT_THAT(calls, Contains("write"));
  EXPECT_THAT(calls, Not(Contains("sync file")));
  EXPECT_THAT(calls, Not(Contains("sync all")));
}

TEST_F(StoreDurability, NorAfterACheckpoint) {
  {
    Store store(root_.store());
    for (int i = 0; i < 1000; ++i) store.add_event("container", "test", "x");
    ASSERT_GT(store.database().log_frames(), 256);
    store.checkpoint();
    EXPECT_LT(store.database().log_frames(), 10);
  }
  const auto calls = calls_of([](Store& store) { store.add_event("container", "test", "x"); });
  EXPECT_THAT(calls, Contains("write"));
  EXPECT_THAT(calls, Not(Contains("sync file")));
}

TEST_F(StoreDurability, LayersAreOnDiskBeforeTheirImageExists) {
  const auto calls = calls_of([](Store& store) {
    publish(store, hex('2'));
    publish(store, hex('3'));
    store.add_image(make_image(hex('b'), {hex('1'), hex('2'), hex('3')}),
                    oci::Reference::parse("b"), oci::Digest::from_hex(hex('b')));
  });
  const auto all = places(calls, "sync all");
  ASSERT_EQ(all.size(), 1U);  // one for all layers
  EXPECT_LT(places(calls, "rename").back(), all[0]);
  EXPECT_GT(places(calls, "write").back(), all[0]);
  const auto file = places(calls, "sync file");
  ASSERT_FALSE(file.empty());  // and the row itself, before the command says that it is done
  EXPECT_GT(file.back(), places(calls, "write").back());
}

TEST_F(StoreDurability, KnownLayersNeedNoSync) {
  const auto calls = calls_of([](Store& store) {
    store.add_image(make_image(hex('b'), {hex('1')}), oci::Reference::parse("b"),
                    oci::Digest::from_hex(hex('b')));
  });
  EXPECT_THAT(calls, Not(Contains("sync all")));
}

TEST_F(StoreDurability, RowsAreGoneFromDiskBeforeTheirLayers) {
  const auto calls =
      calls_of([](Store& store) { store.remove_image("alpine", Store::Force::kNo); });
  const auto file = places(calls, "sync file");
  const auto renames = places(calls, "rename");
  ASSERT_FALSE(file.empty());
  ASSERT_EQ(renames.size(), 1U);
  EXPECT_LT(file[0], renames[0]);
}

}  // namespace
