// list_changes() and write_diff() on directories as the kernel's overlay leaves them.
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "storage/changes.h"
#include "storage/pack/diff_tar.h"
#include "storage/unpack/tar_reader.h"
#include "tests/base/temp_dir.h"

namespace storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class ChangesTest : public testing::Test {
 protected:
  ChangesTest() {
    for (const char* name : {"upper", "lower"}) fs::create_directory(dir_ / name);
  }

  // Both trees get the directory, with equal times.
  void both(const std::string& path) {
    for (const char* side : {"upper", "lower"}) {
      fs::create_directories(dir_ / side / path);
      same_time(dir_ / side / path);
    }
  }
  static void same_time(const fs::path& path) {
    const timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 1000, .tv_nsec = 5}};
    base::check(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), "utimensat");
  }
  fs::path upper(const std::string& path) { return dir_ / "upper" / path; }
  fs::path lower(const std::string& path) { return dir_ / "lower" / path; }
  void whiteout(const std::string& path) {
    base::check(mknod(upper(path).c_str(), S_IFCHR | 0600, 0), "mknod");
  }
  void opaque(const std::string& path, char value = 'y') {
    base::check(setxattr(upper(path).c_str(), "trusted.overlay.opaque", &value, 1, 0), "setxattr");
  }

  std::vector<Change> changes(std::set<std::string> hidden = {}) {
    const auto upper_fd = base::open_file(upper(""), O_RDONLY | O_DIRECTORY);
    const auto lower_fd = base::open_file(lower(""), O_PATH | O_DIRECTORY);
    return list_changes(upper_fd.get(), lower_fd.get(), {.hidden = std::move(hidden)});
  }
  std::vector<std::string> lines(std::set<std::string> hidden = {}) {
    std::vector<std::string> result;
    for (const Change& change : changes(std::move(hidden))) {
      result.push_back(std::string(1, "ACD"[static_cast<int>(change.kind)]) + " " + change.path);
    }
    return result;
  }

  std::string tar() {
    std::string stream;
    TarWriter writer([&](std::string_view bytes) { stream += bytes; });
    const auto upper_fd = base::open_file(upper(""), O_RDONLY | O_DIRECTORY);
    write_diff(writer, upper_fd.get(), changes(), DiffRoot::kLeftOut);
    writer.finish();
    return stream;
  }
  struct Read {
    TarEntry entry;
    std::string content;
  };
  static std::map<std::string, Read> read(const std::string& stream) {
    bool given = false;
    const auto give = [&]() -> std::string_view {
      if (std::exchange(given, true)) return {};
      return stream;
    };
    TarReader reader(give, {});
    std::map<std::string, Read> entries;
    while (const TarEntry* entry = reader.next()) {
      Read& one = entries[entry->path];
      one.entry = *entry;
      while (const auto piece = reader.read()) {
        one.content.resize(piece->offset);
        one.content += piece->bytes;
      }
    }
    return entries;
  }

  TempDir dir_;
};

TEST_F(ChangesTest, AddedChangedAndDeletedWithTheirParents) {
  both("etc/ssl");
  both("same");
  base::write_file(lower("etc/ssl/old"), "x");
  base::write_file(lower("etc/motd"), "x");
  same_time(lower("etc/ssl"));
  base::write_file(upper("etc/motd"), "y");
  base::write_file(upper("etc/new"), "y");
  whiteout("etc/ssl/old");
  for (const char* name : {"etc/ssl", "etc"}) same_time(upper(name)), same_time(lower(name));
  EXPECT_THAT(lines(),
              ElementsAre("C /etc", "C /etc/motd", "A /etc/new", "C /etc/ssl", "D /etc/ssl/old"));
}

TEST_F(ChangesTest, AnUnchangedDirectoryIsNoneAndAnotherModeIsOne) {
  both("a");
  both("b");
  EXPECT_THAT(lines(), IsEmpty());
  fs::permissions(upper("b"), fs::perms(0700));
  EXPECT_THAT(lines(), ElementsAre("C /b"));
}

TEST_F(ChangesTest, AnOpaqueDirectoryDeletesWhatItDoesNotHave) {
  both("d/sub");
  base::write_file(lower("d/kept"), "1");
  base::write_file(lower("d/lost"), "1");
  base::write_file(lower("d/sub/lost"), "1");
  base::write_file(upper("d/kept"), "2");
  opaque("d");
  EXPECT_THAT(lines(), ElementsAre("C /d", "C /d/kept", "D /d/lost", "C /d/sub", "D /d/sub/lost"));
  const auto entries = read(tar());
  EXPECT_TRUE(entries.contains("d/.wh..wh..opq"));
  EXPECT_FALSE(entries.contains("d/.wh.lost")) << "the opaque mark says it";
}

TEST_F(ChangesTest, TheMarkForWhiteoutsInsideIsNotOpaque) {
  both("d");
  base::write_file(lower("d/kept"), "1");
  same_time(lower("d"));
  opaque("d", 'x');
  EXPECT_THAT(lines(), IsEmpty());
}

TEST_F(ChangesTest, AWhiteoutOfNothingIsNothing) {
  whiteout("gone");
  EXPECT_THAT(lines(), IsEmpty());
}

TEST_F(ChangesTest, DirectoriesOverFilesAndFilesOverDirectories) {
  base::write_file(lower("was-file"), "x");
  fs::create_directories(lower("was-dir/below"));
  fs::create_directory(upper("was-file"));
  base::write_file(upper("was-file/f"), "x");
  base::write_file(upper("was-dir"), "x");
  EXPECT_THAT(lines(), ElementsAre("C /was-dir", "C /was-file", "A /was-file/f"));
}

TEST_F(ChangesTest, WhatIsTheEnginesIsHidden) {
  both("etc");
  base::write_file(upper("etc/hosts"), "");
  fs::create_directories(upper("vol/deep/target"));
  base::write_file(upper("vol/own"), "x");
  fs::create_directories(upper("only/target"));
  const std::set<std::string> hidden = {"/etc/hosts", "/vol/deep/target", "/only/target"};
  EXPECT_THAT(lines(hidden), ElementsAre("A /vol", "A /vol/own"));
}

TEST_F(ChangesTest, TheTarHasWhatOverlayfsHas) {
  base::write_file(lower("deleted"), "x");
  fs::create_directory(upper("d"));
  base::write_file(upper("d/file"), "content");
  chmod(upper("d/file").c_str(), 04755);
  base::check(setxattr(upper("d/file").c_str(), "user.note", "a\0b", 3, 0), "setxattr");
  base::check(setxattr(upper("d/file").c_str(), "trusted.overlay.origin", "x", 1, 0), "setxattr");
  const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};  // cap_net_bind_service=ep
  base::check(setxattr(upper("d/file").c_str(), "security.capability", capability, 20, 0),
              "setxattr");
  same_time(upper("d/file"));
  base::check(link(upper("d/file").c_str(), upper("d/second").c_str()), "link");
  base::check(symlink("/outside", upper("d/link").c_str()), "symlink");
  base::check(mkfifo(upper("d/fifo").c_str(), 0640), "mkfifo");
  base::check(mknod(upper("d/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), "mknod");
  const base::UniqueFd server(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {.sun_family = AF_UNIX};
  upper("d/sock").string().copy(address.sun_path, sizeof address.sun_path - 1);
  base::check(bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  whiteout("deleted");

  const std::string stream = tar();
  EXPECT_EQ(stream, tar()) << "the same files give the same bytes";
  const auto entries = read(stream);
  std::vector<std::string> names;
  for (const auto& [name, unused] : entries) names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre(".wh.deleted", "d/", "d/fifo", "d/file", "d/link", "d/null", "d/second"));
  const TarEntry& file = entries.at("d/file").entry;
  EXPECT_EQ(entries.at("d/file").content, "content");
  EXPECT_EQ(file.attributes.mode, 04755U);
  EXPECT_EQ(file.attributes.mtime.tv_sec, 1000);
  EXPECT_EQ(file.attributes.mtime.tv_nsec, 0);
  ASSERT_EQ(file.attributes.xattrs.size(), 2U);
  EXPECT_EQ(file.attributes.xattrs[0].name, "security.capability");
  EXPECT_EQ(file.attributes.xattrs[1].value, std::string("a\0b", 3));
  EXPECT_EQ(entries.at("d/second").entry.type, TarEntry::Type::kHardLink);
  EXPECT_EQ(entries.at("d/second").entry.link_target, "d/file");
  EXPECT_EQ(entries.at("d/link").entry.link_target, "/outside");
  EXPECT_EQ(entries.at("d/null").entry.device_minor, 3U);
}

TEST_F(ChangesTest, HolesStayHoles) {
  const base::UniqueFd fd = base::open_file(upper("sparse"), O_RDWR | O_CREAT, 0600);
  base::check(pwrite(fd.get(), "middle", 6, 8 << 20), "pwrite");
  base::check(ftruncate(fd.get(), 32 << 20), "ftruncate");
  base::check(truncate((base::write_file(upper("hole"), ""), upper("hole").c_str()), 5 << 20),
              "truncate");
  const std::string stream = tar();
  EXPECT_LT(stream.size(), 1U << 20U);
  const auto entries = read(stream);
  EXPECT_EQ(entries.at("sparse").entry.size, 32U << 20U);
  EXPECT_EQ(entries.at("sparse").content.substr(8 << 20, 6), "middle");
  EXPECT_EQ(entries.at("hole").entry.size, 5U << 20U);
  EXPECT_EQ(entries.at("hole").content.find_first_not_of('\0'), std::string::npos);
}

TEST_F(ChangesTest, LongNamesAndDeepTreesAreReadAndAbsurdOnesRefused) {
  base::UniqueFd at = base::open_file(upper(""), O_PATH | O_DIRECTORY);
  const std::string name(200, 'n');
  for (int depth = 0; depth < 30; ++depth) {  // longer than PATH_MAX
    base::check(mkdirat(at.get(), name.c_str(), 0755), "mkdirat");
    at = base::open_at(at.get(), name, O_PATH | O_DIRECTORY);
  }
  EXPECT_EQ(read(tar()).size(), 30U);
  for (int depth = 0; depth < 600; ++depth) {
    base::check(mkdirat(at.get(), "d", 0755), "mkdirat");
    at = base::open_at(at.get(), "d", O_PATH | O_DIRECTORY);
  }
  EXPECT_THROW(changes(), base::Error);
}

}  // namespace
}  // namespace storage
