#include "engine/file_copy.h"

#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "tests/base/temp_dir.h"

namespace {

namespace fs = std::filesystem;

class FileCopy : public testing::Test {
 protected:
  std::uint64_t copy(const std::string& from, const std::string& to) {
    const base::UniqueFd source = base::open_file(from_, O_RDONLY | O_DIRECTORY);
    const base::UniqueFd target = base::open_file(to_, O_RDONLY | O_DIRECTORY);
    return engine::copy_entry({source.get(), from, from}, {target.get(), to, to}, {});
  }

  TempDir folder_;
  fs::path from_ = make_folder("from");
  fs::path to_ = make_folder("to");

 private:
  fs::path make_folder(const char* name) {
    fs::create_directories(folder_ / name);
    return folder_ / name;
  }
};

TEST_F(FileCopy, KeepsModesTimesLinksAndHoles) {
  fs::create_directories(from_ / "d/empty");
  base::write_file(from_ / "d/file", "content");
  fs::permissions(from_ / "d/file", fs::perms(0604));
  const timespec times[2] = {{.tv_sec = 1'000'000, .tv_nsec = 1},
                             {.tv_sec = 2'000'000, .tv_nsec = 2}};
  ASSERT_EQ(utimensat(AT_FDCWD, (from_ / "d/file").c_str(), times, 0), 0);
  fs::create_symlink("nowhere", from_ / "d/link");
  const base::UniqueFd sparse = base::open_file(from_ / "d/sparse", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(ftruncate(sparse.get(), 8 << 20), 0);
  ASSERT_EQ(pwrite(sparse.get(), "end", 3, (8 << 20) - 3), 3);
  ASSERT_EQ(mkfifo((from_ / "d/pipe").c_str(), 0600), 0);
  EXPECT_GT(copy("d", "copied"), 8U << 20U);
  EXPECT_EQ(base::read_file(to_ / "copied/file", 100), "content");
  struct stat info = {};
  ASSERT_EQ(stat((to_ / "copied/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0604U);
  EXPECT_EQ(info.st_mtim.tv_sec, 2'000'000);
  EXPECT_EQ(info.st_mtim.tv_nsec, 2);
  EXPECT_EQ(fs::read_symlink(to_ / "copied/link"), "nowhere");
  ASSERT_EQ(stat((to_ / "copied/sparse").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 8 << 20);
  EXPECT_LT(info.st_blocks * 512, 1 << 20) << "the hole stays one";
  EXPECT_TRUE(fs::is_fifo(to_ / "copied/pipe"));
  EXPECT_TRUE(fs::is_directory(to_ / "copied/empty"));
}

TEST_F(FileCopy, MergesDirectoriesAndReplacesFiles) {
  fs::create_directories(from_ / "d");
  base::write_file(from_ / "d/both", "new");
  fs::create_directories(to_ / "d");
  base::write_file(to_ / "d/both", "old");
  base::write_file(to_ / "d/theirs", "stays");
  copy("d", "d");
  EXPECT_EQ(base::read_file(to_ / "d/both", 100), "new");
  EXPECT_EQ(base::read_file(to_ / "d/theirs", 100), "stays");
  copy(".", ".");
  EXPECT_EQ(base::read_file(to_ / "d/both", 100), "new");
}

TEST_F(FileCopy, AFileAndADirectoryDoNotReplaceEachOther) {
  fs::create_directories(from_ / "d");
  base::write_file(from_ / "f", "file");
  fs::create_directories(to_ / "f");
  base::write_file(to_ / "d", "file");
  for (const char* const name : {"d", "f"}) {
    try {
      copy(name, name);
      ADD_FAILURE() << name;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kConflict) << error.what();
    }
  }
}

TEST_F(FileCopy, FollowsNoLink) {
  base::write_file(folder_ / "canary", "unharmed");
  fs::create_directories(from_ / "d");
  base::write_file(from_ / "d/x", "content");
  fs::create_symlink("../canary", to_ / "d");
  fs::create_symlink("../canary", from_ / "link");
  EXPECT_THROW(copy("d", "d"), base::Error);
  copy("link", "link");
  EXPECT_TRUE(fs::is_symlink(to_ / "link"));
  base::write_file(from_ / "file", "content");
  fs::create_symlink("../canary", to_ / "file");
  copy("file", "file");
  EXPECT_FALSE(fs::is_symlink(to_ / "file"));
  EXPECT_EQ(base::read_file(folder_ / "canary", 100), "unharmed");
}

// Somebody removed it between the look and the copy.
TEST_F(FileCopy, WhatIsGoneIsNothing) {
  copy("nothing", "x");
  EXPECT_FALSE(fs::exists(to_ / "x"));
}

}  // namespace
