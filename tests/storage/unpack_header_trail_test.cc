#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/unpack/header_trail.h"
#include "storage/unpack/tar_reader.h"
#include "tests/storage/unpack_support.h"

namespace {

using namespace storage_test;
using base::ErrorKind;
using storage::HeaderTrail;

// The names that a reader finds, given the tar in pieces of `piece` bytes.
std::vector<std::string> names_in(const std::string& tar, std::size_t piece = 65536) {
  std::size_t at = 0;
  std::string bytes;
  storage::TarReader reader(
      [&]() -> std::string_view {
        bytes = tar.substr(std::min(at, tar.size()), piece);  // elsewhere than the last piece
        at += bytes.size();
        return bytes;
      },
      {});
  std::vector<std::string> names;
  while (const storage::TarEntry* entry = reader.next()) names.push_back(entry->path);
  return names;
}

using Names = std::vector<std::string>;
constexpr std::size_t kPieces[] = {1, 100, 511, 512, 513, 1000, 1536, 65536};

TEST(TarTypes, TheKnownOnesAreTaken) {
  std::string tar;
  Names names;
  for (const char type : {'\0', '0', '1', '2', '3', '4', '5', '6', '7'}) {
    names.push_back(std::string("name") + static_cast<char>(type == '\0' ? 'x' : type));
    TarItem item = {.type = type, .name = names.back(), .link = "link", .data = {}};
    item.minor = 3;
    tar += Tar().add(item).open_end();
  }
  for (const std::size_t piece : kPieces) EXPECT_EQ(names_in(tar + Tar().end(), piece), names);
}

TEST(TarTypes, UnknownOnesAreRefusedByName) {
  for (const char type : {'Z', 'D', 'M', 'N', 'I', '8', ' ', '\x1b'}) {
    for (const std::size_t piece : {std::size_t{100}, std::size_t{65536}}) {
      const std::string tar =
          Tar().file("a", std::string(3000, 'x')).add({.type = type, .name = "odd"}).end();
      const auto [kind, text] = error_of([&] { names_in(tar, piece); });
      EXPECT_EQ(kind, ErrorKind::kInvalid) << text;
      const std::string shown = type == '\x1b' ? "\\x1b" : std::string(1, type);
      EXPECT_EQ(text, "odd: unknown type of entry: \"" + shown + "\"");
    }
  }
}

TEST(TarTypes, WhatOnlyDescribesAnEntryIsNoEntry) {
  const std::string long_name(300, 'n');
  const auto long_names = [&](char type) {
    TarItem item = {.type = type, .name = long_name, .link = std::string(300, 'l')};
    item.pax = {{"comment", std::string(2000, 'c')}};
    return Tar()
        .add({.type = 'V', .name = "label"})
        .add({.type = 'g', .name = "global", .data = Tar::pax_record("comment", "all")})
        .add(item)
        .end();
  };
  for (const std::size_t piece : kPieces) {
    EXPECT_EQ(names_in(long_names('2'), piece), Names{long_name});
    EXPECT_EQ(error_of([&] { names_in(long_names('Z'), piece); }).first, ErrorKind::kInvalid);
  }
}

// libarchive looks at what follows a hard link with a size before it knows whether that is data.
TEST(TarTypes, AreFoundWhereTheReaderLookedAhead) {
  TarItem link = {.type = '1', .name = "b", .link = "a", .data = {}};
  std::string header = Tar::header(link);
  Tar::put_number(header, 124, 12, 700);  // which does not follow
  Tar::checksum(header);
  for (const char type : {'0', 'Z'}) {
    const std::string tar = Tar().file("a", "x").raw(header).add({.type = type, .name = "c"}).end();
    for (const std::size_t piece : kPieces) {
      if (type == '0') {
        EXPECT_EQ(names_in(tar, piece), (Names{"a", "b", "c"}));
      } else {
        EXPECT_EQ(error_of([&] { names_in(tar, piece); }).first, ErrorKind::kInvalid) << piece;
      }
    }
  }
}

TEST(TarTypes, SocketsAreLeftOut) {
  const std::string tar = Tar().file("a").add({.type = 's', .name = "socket"}).file("b").end();
  EXPECT_EQ(names_in(tar), (Names{"a", "b"}));
}

TEST(HeaderTrail, KnowsOnlyWhatItSaw) {
  HeaderTrail trail;
  EXPECT_FALSE(trail.find_type(512));
  const std::string file = Tar::header({.type = '0', .name = "f"});
  trail.begin(0);
  trail.enter(file);
  EXPECT_EQ(trail.find_type(512), '0');
  EXPECT_FALSE(trail.find_type(511));
  std::string endless = Tar::header({.type = 'x', .name = "p"});
  Tar::put_number(endless, 124, 12, ~std::uint64_t{0});
  trail.leave(HeaderTrail::Keep::kNo);
  trail.begin(512);
  trail.enter(endless);
  EXPECT_FALSE(trail.find_type(1024));
}

}  // namespace
