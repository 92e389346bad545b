// TarWriter: what is written is what TarReader reads.
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "storage/pack/tar_writer.h"

namespace storage {
namespace {

struct Read {
  TarEntry entry;
  std::string data;
};

std::vector<Read> read_all(const std::string& tar) {
  bool given = false;
  TarReader reader(
      [&]() -> std::string_view {
        return std::exchange(given, true) ? std::string_view() : std::string_view(tar);
      },
      {});
  std::vector<Read> entries;
  while (const TarEntry* entry = reader.next()) {
    Read read{*entry, {}};
    while (const auto piece = reader.read()) {
      read.data.resize(piece->offset);
      read.data += piece->bytes;
    }
    entries.push_back(std::move(read));
  }
  return entries;
}

TarEntry file(const std::string& path, std::uint64_t size) {
  TarEntry entry;
  entry.path = path;
  entry.size = size;
  entry.attributes.mode = 04750;
  entry.attributes.uid = 3'000'000'000;  // more than ustar has room for
  entry.attributes.gid = 7;
  entry.attributes.mtime = {1'600'000'000, 123};
  return entry;
}

TEST(TarWriter, TimesAreSecondsAndNoneIsLaterThanAsked) {
  std::string tar;
  const auto sink = [&](std::string_view bytes) { tar += bytes; };
  {
    TarWriter writer(sink, 1'600'000'050);
    writer.add(file("before", 0));
    TarEntry later = file("later", 0);
    later.attributes.mtime = {1'600'000'051, 5};
    writer.add(later);
    writer.finish();
  }
  const std::vector<Read> entries = read_all(tar);
  ASSERT_EQ(entries.size(), 2U);
  const timespec first = entries[0].entry.attributes.mtime;
  const timespec second = entries[1].entry.attributes.mtime;
  EXPECT_EQ(std::pair(first.tv_sec, first.tv_nsec), std::pair(time_t{1'600'000'000}, 0L));
  EXPECT_EQ(std::pair(second.tv_sec, second.tv_nsec), std::pair(time_t{1'600'000'050}, 0L));
}

TEST(TarWriter, WritesWhatTarReaderReads) {
  std::string tar;
  TarWriter writer([&](std::string_view bytes) { tar += bytes; });
  const std::string long_name = std::string(200, 'd') + "/" + std::string(250, 'f');
  TarEntry first = file(long_name, 5);
  first.attributes.xattrs = {{"security.capability", std::string("\x01\x00\x00\x02", 4)},
                             {"user.empty", ""}};
  writer.add(first);
  writer.write("hel");
  writer.write("lo, and more than was announced");
  TarEntry link = file("h\xc3\xa4rd", 0);
  link.type = TarEntry::Type::kHardLink;
  link.link_target = long_name;
  writer.add(link);
  TarEntry symlink = file("raw\xff", 0);
  symlink.type = TarEntry::Type::kSymlink;
  symlink.link_target = std::string(300, 't');
  writer.add(symlink);
  TarEntry device = file("device", 0);
  device.type = TarEntry::Type::kCharDevice;
  device.device_major = 4095;
  device.device_minor = 1048575;
  writer.add(device);
  TarEntry directory = file("dir/", 0);
  directory.type = TarEntry::Type::kDirectory;
  writer.add(directory);
  writer.finish();

  const std::vector<Read> entries = read_all(tar);
  ASSERT_EQ(entries.size(), 5U);
  EXPECT_EQ(entries[0].entry.path, long_name);
  EXPECT_EQ(entries[0].data, "hello");
  EXPECT_EQ(entries[0].entry.attributes.mode, 04750U);
  EXPECT_EQ(entries[0].entry.attributes.uid, 3'000'000'000U);
  EXPECT_EQ(entries[0].entry.attributes.mtime.tv_sec, 1'600'000'000);
  EXPECT_EQ(entries[0].entry.attributes.mtime.tv_nsec, 0);
  EXPECT_EQ(entries[0].entry.attributes.xattrs, first.attributes.xattrs);
  EXPECT_EQ(entries[1].entry.type, TarEntry::Type::kHardLink);
  EXPECT_EQ(entries[1].entry.path, "h\xc3\xa4rd");
  EXPECT_EQ(entries[1].entry.link_target, long_name);
  EXPECT_EQ(entries[2].entry.path, "raw\xff");
  EXPECT_EQ(entries[2].entry.link_target, std::string(300, 't'));
  EXPECT_EQ(entries[3].entry.device_major, 4095U);
  EXPECT_EQ(entries[3].entry.device_minor, 1048575U);
  EXPECT_EQ(entries[4].entry.type, TarEntry::Type::kDirectory);
  EXPECT_EQ(tar.size() % 512, 0U);
}

TEST(TarWriter, RefusesAFileThatShrank) {
  TarWriter writer([](std::string_view) {});
  writer.add(file("a", 5));
  writer.write("abc");
  EXPECT_THROW(writer.finish(), base::Error);
}

TEST(TarWriter, PassesOnWhatTheSinkThrows) {
  TarWriter writer([](std::string_view) { throw base::Error(base::ErrorKind::kNoSpace, "full"); });
  writer.add(file("a", 1 << 20));
  EXPECT_THROW(writer.write(std::string(1 << 20, 'x')), base::Error);
}

TEST(TarWriter, AnUnfinishedStreamHasNoEnd) {
  std::string tar;
  {
    TarWriter writer([&](std::string_view bytes) { tar += bytes; });
    writer.add(file("a", 200'000));
    writer.write(std::string(100'000, 'x'));
  }
  EXPECT_LT(tar.size(), 102'000U);
}

}  // namespace
}  // namespace storage
