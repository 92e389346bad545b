#include "engine/run_directory.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "base/process.h"
#include "tests/base/temp_dir.h"

namespace engine {
namespace {

TEST(RunDirectory, HasOneOwner) {
  const TempDir state;
  const RunDirectory directory(state.path(), "id");
  EXPECT_FALSE(directory.is_locked());
  auto lock = directory.try_lock();
  ASSERT_TRUE(lock.has_value());
  EXPECT_TRUE(directory.is_locked());
  EXPECT_FALSE(directory.try_lock().has_value());
  lock.reset();
  EXPECT_FALSE(directory.is_locked());
  EXPECT_TRUE(directory.try_lock().has_value());
}

TEST(RunDirectory, TheLockLivesAsLongAsAnyProcessThatHasIt) {
  const TempDir state;
  const RunDirectory directory(state.path(), "id");
  auto lock = directory.try_lock();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    char byte = 0;
    _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(ends[0]);
  lock.reset();
  EXPECT_TRUE(directory.is_locked());
  close(ends[1]);
  EXPECT_EQ(base::wait_for_child(child), 0);
  EXPECT_FALSE(directory.is_locked());
}

TEST(RunDirectory, RemovedUnderALockItIsMadeAnew) {
  const TempDir state;
  const RunDirectory directory(state.path(), "id");
  const auto old_lock = directory.try_lock();
  directory.remove();
  EXPECT_FALSE(std::filesystem::exists(directory.path()));
  EXPECT_TRUE(directory.try_lock().has_value());  // the old one is of a file that is gone
  EXPECT_TRUE(std::filesystem::is_empty(state.path() / "id") == false);
}

}  // namespace
}  // namespace engine
