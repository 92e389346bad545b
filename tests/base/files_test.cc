#include "base/files.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/base/temp_dir.h"

namespace {

namespace fs = std::filesystem;
using base::ErrorKind;

template <class Action>
ErrorKind kind_thrown_by(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kSystem;
}

TEST(Files, ReadsWhatWasWritten) {
  const TempDir dir;
  const std::string content = std::string(100'000, 'x') + std::string("\0\n", 2);
  base::write_file(dir / "a", content, 0600);
  EXPECT_EQ(base::read_file(dir / "a"), content);
  EXPECT_EQ(base::find_file(dir / "a"), content);
  struct stat info = {};
  ASSERT_EQ(stat((dir / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  base::write_file(dir / "a", "short");
  EXPECT_EQ(base::read_file(dir / "a"), "short");
}

TEST(Files, LimitsWhatItReads) {
  const TempDir dir;
  base::write_file(dir / "a", std::string(100'000, 'x'));
  EXPECT_EQ(base::read_file(dir / "a", 100'000).size(), 100'000U);
  EXPECT_EQ(kind_thrown_by([&] { base::read_file(dir / "a", 99'999); }), ErrorKind::kInvalid);
  EXPECT_EQ(kind_thrown_by([&] { base::read_file("/dev/zero", 1'000'000); }), ErrorKind::kInvalid);
}

TEST(Files, AbsenceIsAnAnswerOnlyToFind) {
  const TempDir dir;
  base::write_file(dir / "file", "");
  EXPECT_FALSE(base::find_file(dir / "none"));
  EXPECT_FALSE(base::find_file(dir / "file" / "below"));
  EXPECT_EQ(kind_thrown_by([&] { base::read_file(dir / "none"); }), ErrorKind::kNotFound);
  EXPECT_EQ(kind_thrown_by([&] { base::find_file(dir.path()); }), ErrorKind::kSystem);
}

TEST(Files, DescriptorsAreCloseOnExec) {
  const TempDir dir;
  const base::UniqueFd root = base::open_file(dir.path(), O_RDONLY | O_DIRECTORY);
  base::write_file(dir / "a", "");
  for (const base::UniqueFd& fd :
       {base::open_file(dir / "a", O_RDONLY), base::open_at(root.get(), "a", O_RDONLY),
        base::open_in_root(root.get(), "/a", O_RDONLY)}) {
    EXPECT_EQ(fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(Files, ReplacesAtOnceAndLeavesNothingElse) {
  const TempDir dir;
  base::replace_file(dir / "a", "old");
  const base::UniqueFd before = base::open_file(dir / "a", O_RDONLY);
  base::replace_file(dir / "a", "new", 0600, base::Durability::kSynced);
  EXPECT_EQ(base::read_fd(before.get()), "old");
  EXPECT_EQ(base::read_file(dir / "a"), "new");
  EXPECT_THROW(base::replace_file(dir.path(), "x"), base::Error);  // a directory is in the way
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
  EXPECT_THROW(base::replace_file(dir / "none" / "a", "x"), base::Error);
}

TEST(Files, AddsAtOnceAndNeverOverAnother) {
  const TempDir dir;
  EXPECT_TRUE(base::add_file(dir / "a", "first", 0600));
  EXPECT_FALSE(base::add_file(dir / "a", "second"));
  EXPECT_EQ(base::read_file(dir / "a"), "first");
  struct stat info = {};
  ASSERT_EQ(stat((dir / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
  EXPECT_THROW(base::add_file(dir / "none" / "a", "x"), base::Error);
}

TEST(Files, ReplacesBelowTheWorkingDirectory) {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  EXPECT_NO_THROW(base::replace_file("a", "x", 0644, base::Durability::kSynced));
  fs::current_path(before);
  EXPECT_EQ(base::read_file(dir / "a"), "x");
}

TEST(Files, MakesDirectories) {
  const TempDir dir;
  base::make_dirs(dir / "a/b/c", 0700);
  base::make_dirs(dir / "a/b/c/", 0755);
  struct stat info = {};
  ASSERT_EQ(stat((dir / "a/b/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  fs::create_directory_symlink("a", dir / "link");
  base::make_dirs(dir / "link");
  base::make_dirs(dir / "link/d/e");
  EXPECT_TRUE(fs::is_directory(dir / "a/d/e"));
  base::write_file(dir / "file", "");
  EXPECT_THROW(base::make_dirs(dir / "file"), base::Error);
  EXPECT_THROW(base::make_dirs(dir / "file/x"), base::Error);
  fs::create_symlink("nowhere", dir / "dangling");
  EXPECT_THROW(base::make_dirs(dir / "dangling"), base::Error);
}

TEST(Files, NothingLeadsOutOfARoot) {
  const TempDir dir;
  base::make_dirs(dir / "root/etc");
  base::write_file(dir / "root/etc/secret", "inside");
  base::make_dirs(dir / "etc");
  base::write_file(dir / "etc/secret", "outside");
  fs::create_symlink("/etc/secret", dir / "root/absolute");
  fs::create_symlink("../../../../etc/secret", dir / "root/relative");
  fs::create_symlink("/proc/self/exe", dir / "root/magic");
  fs::create_symlink("loop", dir / "root/loop");
  const base::UniqueFd root = base::open_file(dir / "root", O_RDONLY | O_DIRECTORY);
  for (const char* path : {"etc/secret", "/etc/secret", "../etc/secret", "/../../etc/secret",
                           "absolute", "relative", "/etc/../absolute"}) {
    const base::UniqueFd fd = base::open_in_root(root.get(), path, O_RDONLY);
    EXPECT_EQ(base::read_fd(fd.get()), "inside") << path;
  }
  EXPECT_FALSE(base::find_in_root(root.get(), "none", O_RDONLY));
  EXPECT_FALSE(base::find_in_root(root.get(), "etc/secret/below", O_RDONLY));
  EXPECT_FALSE(base::find_in_root(root.get(), "loop", O_RDONLY));
  EXPECT_FALSE(base::find_in_root(root.get(), "magic", O_RDONLY));
  EXPECT_TRUE(base::find_in_root(root.get(), "absolute", O_RDONLY));

  const base::UniqueFd proc = base::open_file("/proc", O_RDONLY | O_DIRECTORY);
  EXPECT_FALSE(base::find_in_root(proc.get(), "self/exe", O_RDONLY));  // a link of the magic kind
}

TEST(Files, MakesFilesInARoot) {
  const TempDir dir;
  const base::UniqueFd root = base::open_file(dir.path(), O_RDONLY | O_DIRECTORY);
  base::open_in_root(root.get(), "a", O_WRONLY | O_CREAT | O_EXCL, 0600);
  EXPECT_TRUE(fs::exists(dir / "a"));
  EXPECT_EQ(kind_thrown_by(
                [&] { base::open_in_root(root.get(), "a", O_WRONLY | O_CREAT | O_EXCL, 0600); }),
            ErrorKind::kConflict);
  EXPECT_NO_THROW(base::open_in_root(root.get(), ".", O_RDONLY | O_DIRECTORY, 0600));
}

TEST(Tree, IsRemovedWithoutFollowingLinks) {
  const TempDir dir;
  base::make_dirs(dir / "kept");
  base::write_file(dir / "kept/file", "x");
  base::make_dirs(dir / "gone/a/b");
  base::write_file(dir / "gone/a/b/file", "x");
  ASSERT_EQ(mkfifo((dir / "gone/fifo").c_str(), 0600), 0);
  fs::create_directory_symlink(dir / "kept", dir / "gone/link");
  fs::create_directory_symlink(dir / "kept", dir / "gone/a/link");
  base::remove_tree(dir / "gone");
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir / "gone")));
  EXPECT_TRUE(fs::exists(dir / "kept/file"));

  fs::create_directory_symlink(dir / "kept", dir / "link");
  base::remove_tree(dir / "link");
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir / "link")));
  EXPECT_TRUE(fs::exists(dir / "kept/file"));
  base::remove_tree(dir / "kept/file");
  base::remove_tree(dir / "none");
}

// Deeper than a path may be long, and than a process may hold descriptors.
int make_deep_tree(const fs::path& top, int depth) {
  base::make_dirs(top);
  base::UniqueFd at = base::open_file(top, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < depth; ++i) {
    base::check(mkdirat(at.get(), "directory", 0755), "mkdirat");
    base::UniqueFd file = base::open_at(at.get(), "file", O_WRONLY | O_CREAT, 0644);
    base::write_all(file.get(), "x");
    at = base::open_at(at.get(), "directory", O_RDONLY | O_DIRECTORY);
  }
  return depth;
}

TEST(Tree, MayBeDeeperThanPathsAndDescriptorsGo) {
  const TempDir dir;
  const int depth = make_deep_tree(dir / "deep", 5000);
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few = {.rlim_cur = 256, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  EXPECT_GE(base::disk_usage(dir / "deep"), static_cast<std::uint64_t>(depth) * 512);
  EXPECT_NO_THROW(base::remove_tree(dir / "deep"));
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_FALSE(fs::exists(dir / "deep"));
}

TEST(Tree, MayBeWide) {
  const TempDir dir;
  for (int i = 0; i < 3000; ++i) {
    base::make_dirs(dir / ("wide/" + std::to_string(i % 50) + "/" + std::to_string(i)));
  }
  base::remove_tree(dir / "wide");
  EXPECT_FALSE(fs::exists(dir / "wide"));
}

// Somebody swaps a directory for a link to another while the tree goes away: what the link names
// must survive.
TEST(Tree, RemovalSurvivesARacingSwap) {
  const TempDir dir;
  base::make_dirs(dir / "kept");
  for (int round = 0; round < 100; ++round) {
    base::write_file(dir / "kept/file", "x");
    base::make_dirs(dir / "gone/a/b/c");
    std::thread swapper([&] {
      std::error_code ignored;
      fs::rename(dir / "gone/a", dir / "gone/moved", ignored);
      fs::create_directory_symlink(dir / "kept", dir / "gone/a", ignored);
    });
    base::remove_tree_quietly(dir / "gone");
    swapper.join();
    base::remove_tree(dir / "gone");
    ASSERT_TRUE(fs::exists(dir / "kept/file")) << round;
  }
}

TEST(Tree, UsageCountsHardLinksOnce) {
  const TempDir dir;
  base::make_dirs(dir / "a/b");
  const std::uint64_t empty = base::disk_usage(dir / "a");
  base::write_file(dir / "a/big", std::string(1U << 20U, 'x'));
  base::open_file(dir / "a/big", O_RDONLY);
  ASSERT_EQ(link((dir / "a/big").c_str(), (dir / "a/b/same").c_str()), 0);
  fs::create_symlink("/", dir / "a/root");
  const std::uint64_t full = base::disk_usage(dir / "a");
  EXPECT_GE(full, empty + (1U << 20U));
  EXPECT_LT(full, empty + (2U << 20U));
  EXPECT_GE(base::disk_usage(dir / "a/big"), 1U << 20U);
  EXPECT_THROW(base::disk_usage(dir / "none"), base::Error);
}

TEST(RandomHex, IsLongEnoughAndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(base::random_hex(16));
  EXPECT_EQ(seen.size(), 1000U);
  for (const std::string& text : seen) {
    EXPECT_EQ(text.size(), 32U);
    EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0 || (c >= 'a' && c <= 'f');
    }));
  }
  EXPECT_EQ(base::random_hex(0), "");
  EXPECT_EQ(base::random_hex(1000).size(), 2000U);
}

TEST(Files, NamesOfADirectoryAreSortedByBytes) {
  const TempDir folder;
  for (const char* name : {"b", ".hidden", "a", "Z", "\xff"}) {
    base::write_file(folder.path() / name, "");
  }
  const base::UniqueFd fd = base::open_file(folder.path(), O_PATH | O_DIRECTORY);
  const std::vector<std::string> wanted = {".hidden", "Z", "a", "b", "\xff"};
  EXPECT_EQ(base::sorted_names(fd.get()), wanted);
  EXPECT_EQ(base::sorted_names(fd.get()), wanted);  // again from the beginning
}

}  // namespace
