#include "engine/image/task_pool.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

using std::chrono::milliseconds;

TEST(TaskPool, DoesEachOnceAndAtMostSoManyAtATime) {
  std::mutex mutex;
  std::multiset<std::size_t> done;
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  TaskPool pool;
  pool.run(3, 40, [&](std::size_t index) {
    const int now = ++running;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(milliseconds(1));
    {
      const std::lock_guard lock(mutex);
      done.insert(index);
    }
    --running;
  });
  EXPECT_EQ(done.size(), 40U);
  EXPECT_EQ(std::set<std::size_t>(done.begin(), done.end()).size(), 40U);
  EXPECT_GT(most, 1);
  EXPECT_LE(most, 3);
  EXPECT_FALSE(pool.is_cancelled());
}

TEST(TaskPool, OneAtATimeKeepsTheOrder) {
  std::vector<std::size_t> order;
  TaskPool().run(1, 5, [&](std::size_t index) { order.push_back(index); });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
  order.clear();
  TaskPool().run(0, 2, [&](std::size_t index) { order.push_back(index); });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1}));
  TaskPool().run(4, 0, [&](std::size_t) { FAIL(); });
}

// The first failure is told, though what it cancels fails as well; nothing else is begun.
TEST(TaskPool, TheFirstFailureEndsTheOthers) {
  std::atomic<bool> woken = false;
  std::atomic<int> begun = 0;
  TaskPool pool([&] { woken = true; });
  try {
    pool.run(2, 100, [&](std::size_t index) {
      ++begun;
      if (index == 0) {
        // The pool wakes us; without it this would wait for ever.
        while (!woken) std::this_thread::yield();
        EXPECT_TRUE(pool.is_cancelled());
        throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
      }
      throw base::Error(base::ErrorKind::kCorrupt, "the reason");
    });
    FAIL() << "it threw nothing";
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "the reason");
    EXPECT_EQ(error.kind(), base::ErrorKind::kCorrupt);
  }
  EXPECT_EQ(begun, 2);
}

}  // namespace
}  // namespace engine
