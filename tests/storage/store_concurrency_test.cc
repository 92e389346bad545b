// Many processes at once, as fifty `run`s are.
#include <chrono>
#include <map>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/process.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::ContainerStatus;
using storage::Store;

// Runs `work` in so many processes; each must end without an exception.
void in_processes(int count, const std::function<void(int)>& work) {
  std::vector<pid_t> children;
  for (int number = 0; number < count; ++number) {
    const pid_t child = fork();
    if (child == 0) {
      int code = 0;
      try {
        work(number);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "process %d: %s\n", number, error.what());
        code = 1;
      }
      _exit(code);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) EXPECT_EQ(base::wait_for_child(child), 0);
}

std::string id_of(int process, int number) {
  std::string text = std::to_string(process * 10'000 + number);
  return std::string(64 - text.size(), '0') + text;
}

TEST(StoreConcurrency, ContainersWithAddresses) {
  constexpr int kProcesses = 8;
  constexpr int kEach = 60;
  const TempRoot root;
  {
    Store store(root.store());
    add_image(store, hex('a'), "alpine");
  }
  const auto before = std::chrono::steady_clock::now();
  in_processes(kProcesses, [&](int process) {
    for (int i = 0; i < kEach; ++i) {
      Store store(root.store());  // as each command does
      const std::string id = id_of(process, i);
      storage::ContainerRow row = make_container(id, "c" + id, hex('a'));
      const auto address = store.add_container(row, lease_from(1, 4000));
      Store monitor(root.store());
      row.status = ContainerStatus::kRunning;
      monitor.update_container(row);
      if (store.find_lease(id, "bridge") != address) throw std::runtime_error("lease is gone");
      monitor.modify_container(id,
                               [](auto& changed) { changed.status = ContainerStatus::kExited; });
      if (i % 2 == 0) monitor.remove_container(id);
      if (i % 16 == 0) monitor.checkpoint();
    }
  });
  const auto took = std::chrono::steady_clock::now() - before;
  Store store(root.store());
  EXPECT_EQ(store.list_containers().size(), static_cast<std::size_t>(kProcesses * kEach / 2));
  std::map<std::uint32_t, std::string> owners;
  for (const storage::Lease& lease : store.list_leases()) {
    EXPECT_TRUE(owners.emplace(lease.address, lease.container).second) << lease.address;
    EXPECT_TRUE(store.find_container(lease.container));
  }
  EXPECT_EQ(owners.size(), static_cast<std::size_t>(kProcesses * kEach / 2));
  expect_consistent(store);
  // About a second where nothing else runs.
  EXPECT_LT(took, std::chrono::seconds(60));
  RecordProperty(
      "milliseconds",
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
}

TEST(StoreConcurrency, AllCreateTheStoreAtOnce) {
  const TempRoot root;
  in_processes(8, [&](int process) {
    Store store(root.path() / "deep" / "store");
    store.add_volume(
        {.name = "v" + std::to_string(process), .anonymous = false, .labels = "{}", .created = 1});
  });
  Store store(root.path() / "deep" / "store");
  EXPECT_EQ(store.list_volumes().size(), 8U);
  expect_consistent(store);
}

TEST(StoreConcurrency, OneNameHasOneContainer) {
  const TempRoot root;
  {
    Store store(root.store());
    add_image(store, hex('a'), "alpine");
  }
  in_processes(8, [&](int process) {
    Store store(root.store());
    try {
      store.add_container(make_container(id_of(process, 1), "same", hex('a')), lease_from(1, 4000));
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kConflict) throw;
    }
  });
  Store store(root.store());
  EXPECT_EQ(store.list_containers().size(), 1U);
  EXPECT_EQ(store.list_leases().size(), 1U);
}

TEST(StoreConcurrency, PullsAndRemovalsOfSharedLayers) {
  const TempRoot root;
  { Store store(root.store()); }
  const std::vector<std::string> keys = {hex('1'), hex('2'), hex('3')};
  in_processes(6, [&](int process) {
    const std::string image = hex(static_cast<char>('a' + process % 3));
    const std::string name = "image" + std::to_string(process % 3);
    for (int i = 0; i < 20; ++i) {
      Store store(root.store());
      if (process == 5) {
        store.sweep(Store::Sweep::kThorough);
        continue;
      }
      {
        const base::UniqueFd held = store.hold_layers();
        for (const std::string& key : keys) {
          const auto lock = store.lock_layer(key);
          if (!store.has_layer(key)) publish(store, key);
        }
        store.add_image(make_image(image, keys), oci::Reference::parse(name),
                        oci::Digest::from_hex(image));
      }
      const auto found = store.find_image(name);
      if (found && i % 2 == 1) {
        try {
          store.remove_image(name, Store::Force::kYes);
        } catch (const base::Error& error) {
          if (error.kind() != base::ErrorKind::kNotFound) throw;
        }
      }
      store.discard_trash();
    }
  });
  Store store(root.store());
  expect_consistent(store);
  store.sweep(Store::Sweep::kThorough);
  expect_consistent(store);
  expect_swept(store);
}

// Kills at random moments while others go on.
TEST(StoreConcurrency, KillingOneHurtsNobody) {
  const TempRoot root;
  {
    Store store(root.store());
    add_image(store, hex('a'), "alpine");
  }
  const auto work = [&](int process, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      Store store(root.store());
      const std::string id = id_of(process, i);
      store.add_container(make_container(id, "c" + id, hex('a')), lease_from(1, 4000));
      store.remove_container(id);
      store.checkpoint();
    }
  };
  in_processes(3, [&](int process) {
    if (process > 0) return work(process, 60);
    for (int victim = 0; victim < 25; ++victim) {
      const pid_t child = fork();
      if (child == 0) {
        work(10 + victim, 1000);
        _exit(0);
      }
      usleep(static_cast<useconds_t>(1000 + victim * 731));
      kill(child, SIGKILL);
      base::wait_for_child(child);
    }
  });
  Store store(root.store());
  expect_consistent(store);
}

}  // namespace
