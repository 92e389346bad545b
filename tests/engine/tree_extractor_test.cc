#include "engine/image/tree_extractor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "tests/storage/unpack_support.h"

namespace {

namespace fs = std::filesystem;
using storage_test::Tar;

class TreeExtractor : public testing::Test {
 protected:
  std::uint64_t extract(const std::string& tar, const std::string& destination = "/into",
                        std::size_t piece = 1000) {
    std::size_t at = 0;
    return engine::extract_tree(root_fd_.get(), destination,
                                [&]() -> std::string_view {
                                  const std::string_view bytes =
                                      std::string_view(tar).substr(at, piece);
                                  at += bytes.size();
                                  return bytes;
                                },
                                {});
  }

  base::ErrorKind kind_of_failure(const std::string& tar) {
    try {
      extract(tar);
    } catch (const base::Error& error) {
      return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return base::ErrorKind::kSystem;
  }

  fs::path make(const std::string& path, const std::string& content) {
    fs::create_directories((root_ / path).parent_path());
    base::write_file(root_ / path, content);
    return root_ / path;
  }
  std::string read(const std::string& path) { return base::read_file(root_ / path, 1 << 20); }

  TempDir outer_;
  fs::path root_ = [this] {
    fs::create_directories(outer_ / "root" / "into");
    return outer_ / "root";
  }();
  base::UniqueFd root_fd_ = base::open_file(root_, O_PATH | O_DIRECTORY);
};

TEST_F(TreeExtractor, MakesWhatTheArchiveHas) {
  const std::string tar = Tar()
                              .dir("d", 0711)
                              .file("d/file", "content", 0640)
                              .file("missing/parents/file", "deep")
                              .symlink("link", "d/file")
                              .hard_link("again", "d/file")
                              .end();
  for (const std::string& stream : {tar, storage_test::gzip(tar), storage_test::zstd(tar)}) {
    EXPECT_EQ(extract(stream), tar.size());
    EXPECT_EQ(read("into/d/file"), "content");
    EXPECT_EQ(read("into/missing/parents/file"), "deep");
    EXPECT_EQ(fs::read_symlink(root_ / "into/link"), "d/file");
    struct stat info = {};
    ASSERT_EQ(stat((root_ / "into/again").c_str(), &info), 0);
    EXPECT_EQ(info.st_nlink, 2U);
    EXPECT_EQ(info.st_mode & 07777U, 0640U);
    EXPECT_EQ(info.st_mtime, 1'700'000'000);
    ASSERT_EQ(stat((root_ / "into/d").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0711U);
    EXPECT_EQ(info.st_mtime, 1'700'000'000) << "set when nothing more is put into it";
  }
}

TEST_F(TreeExtractor, AFileAndADirectoryDoNotReplaceEachOther) {
  make("into/file", "old");
  fs::create_directories(root_ / "into/dir");
  EXPECT_EQ(kind_of_failure(Tar().dir("file").end()), base::ErrorKind::kConflict);
  EXPECT_EQ(kind_of_failure(Tar().file("dir").end()), base::ErrorKind::kConflict);
  EXPECT_EQ(read("into/file"), "old");
  extract(Tar().file("file", "new").symlink("dir/link", "x").end());
  EXPECT_EQ(read("into/file"), "new");
}

TEST_F(TreeExtractor, NothingLeadsOutOfTheTree) {
  base::write_file(outer_ / "canary", "unharmed");
  fs::create_symlink("../../../../..", root_ / "into/up");
  fs::create_symlink(outer_ / "canary", root_ / "into/out");
  // Links are followed, but in the tree: the canary's path is made there.
  extract(Tar().file("up/canary", "in the root").file("out", "a file now").end());
  EXPECT_EQ(read("canary"), "in the root");
  EXPECT_EQ(read("into/out"), "a file now");
  EXPECT_FALSE(fs::is_symlink(root_ / "into/out"));
  for (const char* const name : {"../canary", "a/../../canary", "/../canary"}) {
    try {
      extract(Tar().file(name, "harm").end());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid) << name;
    }
  }
  EXPECT_THROW(extract(Tar().hard_link("stolen", "../../canary").end()), base::Error);
  EXPECT_THROW(extract(Tar().hard_link("itself", "nothing").end()), base::Error);
  EXPECT_EQ(base::read_file(outer_ / "canary", 100), "unharmed");
}

TEST_F(TreeExtractor, DamageIsNamed) {
  const std::string tar = Tar().file("file", std::string(10'000, 'x')).end();
  EXPECT_EQ(kind_of_failure(tar.substr(0, 5000)), base::ErrorKind::kCorrupt);
  std::string packed = storage_test::gzip(tar);
  packed.resize(packed.size() - 4);
  EXPECT_EQ(kind_of_failure(packed), base::ErrorKind::kCorrupt);
}

}  // namespace
