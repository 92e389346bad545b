// Whole layers through the unpacker: what must come out, what must be refused, and how.
#include <clocale>
#include <fcntl.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;
using testing::HasSubstr;

// A folder beside the layer that nothing may reach.
class Unpack : public testing::Test {
 protected:
  Unpack() : layer_(temp_.path() / "layer") {
    fs::create_directory(layer_);
    fs::create_directory(temp_.path() / "canary");
    base::write_file(temp_.path() / "canary" / "file", "untouched");
  }
  ~Unpack() override {
    EXPECT_EQ(content(temp_.path() / "canary" / "file"), "untouched");
    EXPECT_EQ(names_in(temp_.path() / "canary").size(), 1U);
    EXPECT_EQ(std::distance(fs::directory_iterator(temp_.path()), {}), 2);
  }
  storage::LayerUnpacker::Result unpack_here(const std::string& tar) { return unpack(layer_, tar); }
  std::pair<ErrorKind, std::string> refusal(const Tar& tar) {
    return error_of([&] { unpack_here(tar.end()); });
  }

  TempDir temp_;
  fs::path layer_;
};

TEST_F(Unpack, MakesFilesDirectoriesAndLinks) {
  const std::string large(3'000'000, 'x');
  const auto result = unpack_here(Tar()
                                      .dir("./", 0750)
                                      .dir("etc/", 0700)
                                      .file("etc/hosts", "localhost", 0640)
                                      .file("large", large)
                                      .file("empty")
                                      .symlink("link", "/etc/../../hosts")
                                      .hard_link("etc/same", "/etc/hosts")
                                      .hard_link("to-link", "link")
                                      .add({.type = '6', .name = "pipe", .mode = 0600})
                                      .end());
  EXPECT_EQ(content(layer_ / "etc/hosts"), "localhost");
  EXPECT_EQ(content(layer_ / "large"), large);
  EXPECT_EQ(status_of(layer_ / "empty").st_size, 0);
  EXPECT_EQ(fs::read_symlink(layer_ / "link"), "/etc/../../hosts");
  EXPECT_EQ(status_of(layer_).st_mode & 07777U, 0750U);
  EXPECT_EQ(status_of(layer_ / "etc").st_mode & 07777U, 0700U);
  EXPECT_EQ(status_of(layer_ / "etc/hosts").st_mode & 07777U, 0640U);
  EXPECT_EQ(status_of(layer_ / "etc/same").st_ino, status_of(layer_ / "etc/hosts").st_ino);
  EXPECT_EQ(status_of(layer_ / "to-link").st_ino, status_of(layer_ / "link").st_ino);
  EXPECT_TRUE(S_ISFIFO(status_of(layer_ / "pipe").st_mode));
  for (const char* name : {"etc", "etc/hosts", "large", "link", "pipe", "."}) {
    EXPECT_EQ(status_of(layer_ / name).st_mtim.tv_sec, 1'700'000'000) << name;
  }
  EXPECT_EQ(result.entries, 9U);
  EXPECT_TRUE(result.record.empty());
}

TEST_F(Unpack, TakesEveryCompressionInPiecesOfAnySize) {
  Tar tar;
  for (int i = 0; i < 300; ++i) {
    tar.file("d" + std::to_string(i % 7) + "/f" + std::to_string(i),
             std::string(static_cast<std::size_t>(i) * 97, static_cast<char>('a' + i % 26)));
  }
  const std::string bytes = tar.end() + std::string(8192, '\0');
  int folder = 0;
  for (const std::string& blob : {bytes, gzip(bytes), zstd(bytes)}) {
    for (const std::size_t piece : {17UL, 4096UL, 1UL << 20U}) {
      const TempDir into;
      unpack_blob(into.path(), blob, bytes, piece);
      for (int i = 0; i < 300; ++i) {
        const fs::path file =
            into.path() / ("d" + std::to_string(i % 7)) / ("f" + std::to_string(i));
        ASSERT_EQ(content(file),
                  std::string(static_cast<std::size_t>(i) * 97, static_cast<char>('a' + i % 26)));
      }
      ++folder;
    }
  }
  EXPECT_EQ(folder, 9);
}

TEST_F(Unpack, TheDiffIdCoversWhatFollowsTheArchive) {
  const std::string tar = Tar().dir("./").file("a", "1").end();
  const std::string padded = tar + std::string(20'000, '\0') + "and more";
  EXPECT_EQ(unpack_here(padded).tar_bytes, padded.size());
  EXPECT_THAT(error_of([&] {
                const TempDir into;
                unpack_blob(into.path(), gzip(padded), tar);
              }).second,
              HasSubstr("uncompressed digest mismatch"));
}

TEST_F(Unpack, BytesBehindTheGzipStreamBelongToTheBlobOnly) {
  const std::string tar = Tar().dir("./").file("a", "1").end();
  unpack_blob(layer_, gzip(tar) + std::string(300, '\0'), tar);
  EXPECT_EQ(content(layer_ / "a"), "1");
}

TEST_F(Unpack, TakesEmptyLayers) {
  EXPECT_EQ(unpack_here("").entries, 0U);
  EXPECT_EQ(unpack_here(std::string(1024, '\0')).entries, 0U);
  const TempDir into;
  EXPECT_EQ(unpack_blob(into.path(), gzip(""), "").entries, 0U);
}

TEST_F(Unpack, RefusesBlobsThatAreNotWhatTheManifestSays) {
  const std::string tar = Tar().dir("./").file("a", std::string(100'000, 'a')).end();
  const std::string blob = gzip(tar);
  const auto diff_id = oci::DiffId::from_hex(base::sha256_hex(tar));
  const auto outcome = [&](const oci::Descriptor& promised, const std::string& served) {
    return error_of([&] {
      const TempDir into;
      storage::LayerUnpacker unpacker(into.path(), promised, diff_id);
      unpacker.write(served);
      unpacker.finish();
    });
  };
  const oci::Descriptor honest = describe(blob);
  std::string changed = blob;
  changed[blob.size() / 2] ^= 1;
  EXPECT_EQ(outcome(honest, changed).first, ErrorKind::kCorrupt);
  EXPECT_THAT(outcome(honest, changed).second, HasSubstr("digest mismatch: expected sha256:"));
  EXPECT_EQ(outcome(honest, blob.substr(0, 50)).first, ErrorKind::kCorrupt);
  EXPECT_THAT(outcome(honest, blob.substr(0, 50)).second, HasSubstr("ended after 50 of"));
  EXPECT_EQ(outcome(honest, blob + "x").first, ErrorKind::kCorrupt);
  EXPECT_THAT(outcome(honest, blob + "x").second, HasSubstr("longer than"));
}

TEST_F(Unpack, RefusesWhatIsNoTar) {
  const std::string texts[] = {R"({"schemaVersion":2,"layers":[]})", std::string(2000, 'x'),
                               "#mtree\n/etc/passwd type=file\n" + std::string(600, '\n')};
  for (const std::string& text : texts) {
    EXPECT_EQ(error_of([&] { unpack_here(text); }).first, ErrorKind::kCorrupt) << text;
  }
  EXPECT_TRUE(fs::is_empty(layer_));
}

TEST_F(Unpack, RefusesArchivesThatEndInsideAnEntry) {
  const std::string tar = Tar().file("a", std::string(10'000, 'a')).open_end();
  EXPECT_EQ(error_of([&] { unpack_here(tar.substr(0, 5'000)); }).first, ErrorKind::kCorrupt);
  const TempDir into;
  EXPECT_EQ(unpack(into.path(), tar).entries, 1U);  // no end mark at all: GNU tar takes it, too
}

TEST_F(Unpack, NoNameLeadsOutside) {
  for (const char* name : {"../canary/file", "a/../../canary/file", "/..", "..", "a/.."}) {
    for (const char type : {'0', '1', '2', '5'}) {
      const auto [kind, text] =
          refusal(Tar().add({.type = type, .name = name, .link = "x", .data = {}}));
      EXPECT_EQ(kind, ErrorKind::kInvalid) << name << " " << type;
      EXPECT_THAT(text, HasSubstr("\"..\" in a path"));
    }
  }
  unpack_here(Tar().file("/absolute/file", "1").file(".//./b", "2").end());
  EXPECT_EQ(content(layer_ / "absolute/file"), "1");
  EXPECT_EQ(content(layer_ / "b"), "2");
}

TEST_F(Unpack, LinksLeadOnlyInside) {
  const std::string outside = (temp_.path() / "canary").string();
  unpack_here(Tar()
                  .symlink("absolute", outside)
                  .file("absolute/file", "caught")
                  .symlink("relative", "../canary")
                  .file("relative/file", "caught")
                  .symlink("far", "../../../../../../../.." + outside)
                  .file("far/other", "caught")
                  .symlink("magic", "/proc/self/root" + outside)
                  .file("magic/file", "caught")
                  .end());
  EXPECT_EQ(content(layer_.string() + outside + "/file"), "caught");
  EXPECT_EQ(content(layer_ / "canary/file"), "caught");
  EXPECT_EQ(content(layer_.string() + outside + "/other"), "caught");
}

TEST_F(Unpack, ALinkIsReplacedNotFollowedWhereItIsTheEntry) {
  const std::string outside = (temp_.path() / "canary").string();
  unpack_here(Tar()
                  .symlink("a", outside + "/file")
                  .file("a", "new")
                  .symlink("d", outside)
                  .dir("d")
                  .file("d/file", "new")
                  .end());
  EXPECT_EQ(content(layer_ / "a"), "new");
  EXPECT_TRUE(S_ISDIR(status_of(layer_ / "d").st_mode));
}

// CVE-2025-47290: a directory that was open becomes a link.
TEST_F(Unpack, AReplacedDirectoryIsNotWrittenTo) {
  const std::string outside = (temp_.path() / "canary").string();
  unpack_here(Tar()
                  .file("foo/tmp/x", "1")
                  .symlink("foo", outside)
                  .file("foo/file", "2")
                  .symlink("bar", "/")
                  .file("bar/tmp", "3")
                  .end());
  EXPECT_TRUE(S_ISLNK(status_of(layer_ / "foo").st_mode));
  EXPECT_EQ(content(layer_.string() + outside + "/file"), "2");
  EXPECT_EQ(content(layer_ / "tmp"), "3");
}

TEST_F(Unpack, RefusesLoopsAndLongChainsOfLinks) {
  EXPECT_EQ(refusal(Tar().symlink("a", "b").symlink("b", "a").file("a/x")).first,
            ErrorKind::kInvalid);
  Tar chain;
  for (int i = 0; i < 45; ++i) {
    chain.symlink("l" + std::to_string(i), "l" + std::to_string(i + 1));
  }
  const TempDir into;
  EXPECT_EQ(error_of([&] { unpack(into.path(), chain.file("l0/x").end()); }).first,
            ErrorKind::kInvalid);
}

TEST_F(Unpack, LinksCannotMakeATreeDeeperThanTheLimit) {
  std::string deep = "d";
  for (int i = 0; i < 400; ++i) deep += "/d";
  EXPECT_EQ(refusal(Tar().dir(deep).symlink("l", deep).dir("l/" + deep)).first,
            ErrorKind::kInvalid);
}

TEST_F(Unpack, TheRootCanOnlyBeADirectory) {
  for (const char* name : {"/", ".", "./", "//"}) {
    for (const char type : {'0', '1', '2', '6'}) {
      const auto [kind, text] =
          refusal(Tar().add({.type = type, .name = name, .link = "/etc", .data = {}}));
      // libarchive takes a file whose name ends with "/" for a directory, as old tars meant it.
      if (kind == ErrorKind::kConflict && type == '0') continue;
      EXPECT_EQ(kind, ErrorKind::kInvalid) << name << " " << type << " " << text;
    }
  }
}

TEST_F(Unpack, TheLastOfSeveralEntriesWins) {
  unpack_here(Tar()
                  .file("a", "first", 0600)
                  .hard_link("b", "a")
                  .file("a", "second", 0644)
                  .dir("d", 0700)
                  .file("d/kept", "1")
                  .dir("d", 0711)
                  .dir("e")
                  .file("e/lost", "1")
                  .file("e", "file now")
                  .file("f")
                  .dir("f")
                  .file("f/in", "1")
                  .symlink("g", "a")
                  .add({.type = '6', .name = "g"})
                  .add({.type = '6', .name = "h"})
                  .hard_link("i", "h")
                  .file("h", "not into the pipe")
                  .end());
  EXPECT_EQ(content(layer_ / "a"), "second");
  EXPECT_EQ(content(layer_ / "b"), "first");
  EXPECT_EQ(status_of(layer_ / "d").st_mode & 07777U, 0711U);
  EXPECT_EQ(content(layer_ / "d/kept"), "1");
  EXPECT_EQ(content(layer_ / "e"), "file now");
  EXPECT_EQ(content(layer_ / "f/in"), "1");
  EXPECT_TRUE(S_ISFIFO(status_of(layer_ / "g").st_mode));
  EXPECT_EQ(content(layer_ / "h"), "not into the pipe");
  EXPECT_TRUE(S_ISFIFO(status_of(layer_ / "i").st_mode));
}

TEST_F(Unpack, RefusesHardLinksThatMakeNoSense) {
  const std::pair<Tar, const char*> kCases[] = {
      {Tar().file("a").hard_link("a", "a"), "hard link to itself"},
      {Tar().hard_link("a", "./a"), "hard link to itself"},
      {Tar().dir("d").hard_link("a", "d"), "hard link to a directory"},
      {Tar().hard_link("a", "/"), "hard link to a directory"},
      {Tar().hard_link("a", "b").file("b"), "hard link to a later entry"},
      {Tar().hard_link("a", "../canary/file"), "\"..\" in a path"},
      {Tar().file("d/f").hard_link("d", "d/f"), "replace the directory of its target"},
      {Tar().dir("d").symlink("s", "d").file("d/f").hard_link("s/f", "d/f"), "to itself"},
      {Tar().file("f").file("f/g"), "not a directory"},
  };
  for (const auto& [tar, text] : kCases) {
    const TempDir into;
    const auto [kind, message] = error_of([&, &bytes = tar] { unpack(into.path(), bytes.end()); });
    EXPECT_EQ(kind, ErrorKind::kInvalid) << text;
    EXPECT_THAT(message, HasSubstr(text));
  }
}

TEST_F(Unpack, AHardLinkReachesItsTargetThroughLinksOfTheLayer) {
  unpack_here(Tar()
                  .dir("usr/bin")
                  .symlink("bin", "usr/bin")
                  .file("usr/bin/a", "1")
                  .hard_link("b", "bin/a")
                  .end());
  EXPECT_EQ(content(layer_ / "b"), "1");
}

TEST_F(Unpack, TheDataOfAHardLinkIsSkipped) {
  TarItem link = {.type = '1', .name = "b", .link = "a", .data = std::string(700, 'z')};
  link.pax = {{"path", "b"}};  // only PAX archives have such
  unpack_here(Tar().file("a", "original").add(link).file("c", "after").end());
  EXPECT_EQ(content(layer_ / "b"), "original");
  EXPECT_EQ(content(layer_ / "c"), "after");
}

TEST_F(Unpack, LinksIntoAufsDirectoryAreFiles) {
  const std::string content_of_both(3000, 'a');
  unpack_here(Tar()
                  .dir(".wh..wh.plnk/")
                  .file(".wh..wh.plnk/12.34", content_of_both, 0640)
                  .file(".wh..wh.aufs")
                  .dir("bin/")
                  .file("bin/b", "replaced")
                  .hard_link("bin/a", "/.wh..wh.plnk/12.34")
                  .hard_link("bin/b", ".wh..wh.plnk/12.34")
                  .hard_link("bin/c", "bin/a")
                  .end());
  for (const char* name : {"bin/a", "bin/b", "bin/c"}) {
    EXPECT_EQ(content(layer_ / name), content_of_both);
    EXPECT_EQ(status_of(layer_ / name).st_nlink, 3U);
    EXPECT_EQ(status_of(layer_ / name).st_mode & 07777U, 0640U);
    EXPECT_EQ(status_of(layer_ / name).st_mtim.tv_sec, 1'700'000'000);
  }
  EXPECT_EQ(names_in(layer_), (std::vector<std::string>{"bin", "bin/a", "bin/b", "bin/c"}));
}

TEST_F(Unpack, LinksToMissingFilesAndImpliedParentsAreWrittenDown) {
  const auto result = unpack_here(Tar()
                                      .file("usr/share/doc/a")
                                      .dir("usr/")
                                      .hard_link("usr/b", "/usr/bin/b")
                                      .hard_link("gone", "nowhere")
                                      .file("gone")
                                      .end());
  EXPECT_EQ(result.record.implied, (std::vector<std::string>{"usr/share/doc", "usr/share", ""}));
  EXPECT_EQ(result.record.links, (std::vector<storage::LayerRecord::Link>{{"usr/b", "usr/bin/b"}}));
  EXPECT_EQ(status_of(layer_ / "usr/share").st_mode & 07777U, 0755U);
  EXPECT_EQ(status_of(layer_ / "usr/share").st_mtim.tv_sec, 1'700'000'000);
}

TEST_F(Unpack, LinksToMissingFilesEndWhereALaterEntryTakesTheirPlace) {
  using Links = std::vector<storage::LayerRecord::Link>;
  const std::pair<Tar, Links> kCases[] = {
      {Tar().hard_link("d/l", "low").file("d", "now a file"), {}},
      {Tar().hard_link("d/l", "low").file("d").dir("d"), {}},
      // A symbolic link there must not lead elsewhere, least of all around in circles.
      {Tar().hard_link("d/l", "low").symlink("d", "d"), {}},
      {Tar().hard_link("d/l", "low").symlink("d", "e").dir("e"), {}},
      {Tar().hard_link("l", "low").file("l/inside"), {}},
      // A whiteout hides what lies below only.
      {Tar().hard_link("d/l", "low").file(".wh.d"), {{"d/l", "low"}}},
      {Tar().hard_link("l", "low").file("a/.wh.x").file(".wh.a"), {{"l", "low"}}},
  };
  for (std::size_t i = 0; i < std::size(kCases); ++i) {
    const TempDir into;
    EXPECT_EQ(unpack(into.path(), kCases[i].first.end()).record.links, kCases[i].second) << i;
  }
}

TEST_F(Unpack, ALinkToALinkIsAnotherNameOfItsTarget) {
  const auto result = unpack_here(Tar().hard_link("b", "low").hard_link("c", "b").end());
  EXPECT_EQ(result.record.links,
            (std::vector<storage::LayerRecord::Link>{{"b", "low"}, {"c", "low"}}));
  // Also where the way to it leads through a link of the layer.
  const TempDir into;
  const Tar tar = Tar().dir("d").symlink("s", "d").hard_link("s/b", "low").hard_link("c", "s/b");
  EXPECT_EQ(unpack(into.path(), tar.end()).record.links,
            (std::vector<storage::LayerRecord::Link>{{"c", "low"}, {"d/b", "low"}}));
}

TEST_F(Unpack, RefusesOwnersThatChownWouldNotSet) {
  for (const std::uint64_t id : {4294967295ULL, 4294967296ULL, 1ULL << 40U}) {
    EXPECT_EQ(refusal(Tar().add({.type = '0', .name = "a", .uid = id})).first, ErrorKind::kInvalid);
    EXPECT_EQ(refusal(Tar().add({.type = '0', .name = "a", .gid = id})).first, ErrorKind::kInvalid);
  }
  for (const char* id : {"4294967295", "-1", "99999999999999999999999"}) {
    EXPECT_EQ(refusal(Tar().add({.type = '0', .name = "a", .pax = {{"uid", id}}})).first,
              ErrorKind::kInvalid)
        << id;
  }
}

TEST_F(Unpack, OddNamesAreRefusedOrKept) {
  const std::string nul("a\0b", 3), deep_name(255, 'n');
  const std::pair<TarItem, const char*> kRefused[] = {
      {{.type = '0', .name = "a/../b"}, "\"..\" in a path"},
      {{.type = '0', .name = ".."}, "\"..\" in a path"},
      {{.type = '0', .name = ""}, "root is not a directory"},
      {{.type = '0', .name = "x", .pax = {{"path", std::string(300, 'n')}}}, "255 bytes"},
      {{.type = '1', .name = "l", .link = "../../etc/passwd"}, "\"..\" in a path"},
      {{.type = '1', .name = "l", .link = ""}, "hard link to a directory"},
      {{.type = '2', .name = "l", .link = ""}, "without a target"},
      {{.type = '2', .name = "l", .link = std::string(5000, 't')}, "too long a target"},
  };
  for (const auto& [item, text] : kRefused) {
    const auto [kind, message] = refusal(Tar().add(item));
    EXPECT_EQ(kind, ErrorKind::kInvalid) << text;
    EXPECT_THAT(message, HasSubstr(text));
  }
  // What follows a NUL is no part of a name: C's strings end there, and so do tar's.
  unpack_here(Tar()
                  .add({.type = '0', .name = "x", .data = "1", .pax = {{"path", nul}}})
                  .file("/absolute", "2")
                  .file("./dot//twice/./end", "3")
                  .dir("trailing///")
                  .file(deep_name + "/" + deep_name + "/" + deep_name, "4")
                  .end());
  EXPECT_EQ(names_in(layer_),
            (std::vector<std::string>{"a", "absolute", "dot", "dot/twice", "dot/twice/end",
                                      deep_name, deep_name + "/" + deep_name,
                                      deep_name + "/" + deep_name + "/" + deep_name, "trailing"}));
}

TEST_F(Unpack, RefusesDeviceNumbersThatDoNotExist) {
  EXPECT_EQ(refusal(Tar().add({.type = '3', .name = "a", .major = 4096, .minor = 1})).first,
            ErrorKind::kInvalid);
  EXPECT_EQ(refusal(Tar().add({.type = '4', .name = "a", .major = 1, .minor = 1 << 20})).first,
            ErrorKind::kInvalid);
}

TEST_F(Unpack, TimesOutOfRangeBecomeTheEpoch) {
  unpack_here(
      Tar()
          .add({.type = '0', .name = "negative", .pax = {{"mtime", "-5.5"}}})
          .add({.type = '0', .name = "huge", .pax = {{"mtime", "99999999999999"}}})
          .add({.type = '0', .name = "fraction", .pax = {{"mtime", "1234567890.123456789"}}})
          .end());
  EXPECT_EQ(status_of(layer_ / "negative").st_mtim.tv_sec, 0);
  EXPECT_EQ(status_of(layer_ / "huge").st_mtim.tv_sec, 0);
  EXPECT_EQ(status_of(layer_ / "fraction").st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(status_of(layer_ / "fraction").st_mtim.tv_nsec, 123456789);
}

TEST_F(Unpack, KeepsNamesOfAnyBytes) {
  const std::string latin = "caf\xe9", text = "caf\xc3\xa9", cjk = "\xe6\x97\xa5\xe6\x9c\xac";
  unpack_here(Tar()
                  .file(latin, "1")
                  .file(text, "2")
                  .add({.type = '0', .name = "x", .data = "3", .pax = {{"path", cjk}}})
                  .add({.type = '0', .name = "y", .data = "4", .pax = {{"path", latin + "2"}}})
                  .add({.type = '2', .name = "z", .pax = {{"linkpath", cjk}}})
                  .add({.type = '2', .name = "", .pax = {{"linkpath", cjk}, {"path", cjk + "z"}}})
                  .file("a\nb", "5")
                  .file(std::string(255, 'n'), "6")
                  .end());
  EXPECT_EQ(content(layer_ / latin), "1");
  EXPECT_EQ(content(layer_ / text), "2");
  EXPECT_EQ(content(layer_ / cjk), "3");
  EXPECT_EQ(content(layer_ / (latin + "2")), "4");
  EXPECT_EQ(fs::read_symlink(layer_ / "z"), cjk);
  EXPECT_EQ(content(layer_ / "a\nb"), "5");
  EXPECT_EQ(content(layer_ / std::string(255, 'n')), "6");
  EXPECT_EQ(refusal(Tar().file(std::string(256, 'n'))).first, ErrorKind::kInvalid);
}

// Go writes names without ASCII letters into PAX records only.
TEST_F(Unpack, TheFirstEntrysNamesMayStandInPaxRecordsOnly) {
  unpack_here(
      Tar()
          .add({.type = '2', .name = "", .pax = {{"linkpath", "\xc3\xa9"}, {"path", "\xc3\xa8"}}})
          .end());
  EXPECT_EQ(fs::read_symlink(layer_ / "\xc3\xa8"), "\xc3\xa9");
}

TEST_F(Unpack, PaxOverridesAndGlobalHeadersRenameNothing) {
  const std::string records = Tar::pax_record("path", "evil") + Tar::pax_record("comment", "c");
  Tar tar;
  tar.raw(Tar::header({.type = 'g', .name = "pax_global_header", .link = {}, .data = records}))
      .padded(records);
  unpack_here(tar.file("a", "1").file("b", "2").end());
  EXPECT_EQ(names_in(layer_), (std::vector<std::string>{"a", "b"}));
}

TEST_F(Unpack, SparseMapsHaveALimit) {
  const auto sparse = [](const std::string& map, const std::string& size) {
    TarItem item = {.type = '0', .name = "GNUSparseFile.0/s", .data = map};
    item.data.resize((item.data.size() + 511) / 512 * 512, '\0');
    item.pax = {{"GNU.sparse.major", "1"},
                {"GNU.sparse.minor", "0"},
                {"GNU.sparse.name", "s"},
                {"GNU.sparse.realsize", size}};
    return item;
  };
  // Eight exbibytes in a few bytes (CVE-2025-58183's family).
  for (const char* size : {"9223372036854775807", "1152921504606846976", "68719476737"}) {
    EXPECT_EQ(refusal(Tar().add(sparse("1\n0\n0\n", size))).first, ErrorKind::kInvalid) << size;
  }
  std::string regions = "1000000\n";
  for (int i = 0; i < 1'000'000; ++i) regions += std::to_string(2 * i) + "\n0\n";
  EXPECT_EQ(refusal(Tar().add(sparse(regions, "2000000"))).first, ErrorKind::kCorrupt);
  for (const char* map : {"1\n-5\n4\n", "1\n0\n99999999999999999999999\n", "x\n", "2\n0\n4\n"}) {
    const auto kind = refusal(Tar().add(sparse(map, "100"))).first;
    EXPECT_TRUE(kind == ErrorKind::kCorrupt || kind == ErrorKind::kInvalid) << map;
  }
}

// Whatever a system's locale is, and whatever it is set to: bytes are bytes.
TEST_F(Unpack, TheProcessesLocaleDoesNotMatter) {
  const std::string text = "caf\xc3\xa9", latin = "caf\xe9";
  for (const char* locale : {"C", "POSIX", "C.UTF-8"}) {
    const std::string before = setlocale(LC_ALL, nullptr);
    setlocale(LC_ALL, locale);
    const TempDir into;
    unpack(into.path(),
           Tar().file(latin).add({.type = '0', .name = "x", .pax = {{"path", text}}}).end());
    setlocale(LC_ALL, before.c_str());
    EXPECT_EQ(names_in(into.path()), (std::vector<std::string>{text, latin})) << locale;
  }
}

// GNU's formats 0.0 and 0.1 (the map in PAX records) and the old one (in the header).
TEST_F(Unpack, TakesEveryFormOfSparseFiles) {
  TarItem first = {.type = '0', .name = "zero", .data = "datamore"};
  first.pax = {{"GNU.sparse.size", "1048576"},
               {"GNU.sparse.numblocks", "2"},
               {"GNU.sparse.map", "4096,4,524288,4"},
               {"GNU.sparse.name", "one"}};
  TarItem old = {.type = 'S', .name = "old", .data = "data"};
  std::string header = Tar::header(old);
  header.replace(257, 8, "ustar  ", 8);
  header.replace(345, 155, std::string(155, '\0'));
  Tar::put_number(header, 386, 12, 65536);
  Tar::put_number(header, 398, 12, 4);
  Tar::put_number(header, 483, 12, 131072);
  Tar::checksum(header);
  unpack_here(Tar().add(first).raw(header).padded("data").file("after", "x").end());
  EXPECT_EQ(status_of(layer_ / "one").st_size, 1048576);
  EXPECT_EQ(content(layer_ / "one").substr(4096, 4), "data");
  EXPECT_EQ(content(layer_ / "one").substr(524288, 4), "more");
  EXPECT_EQ(status_of(layer_ / "old").st_size, 131072);
  EXPECT_EQ(content(layer_ / "old").substr(65536, 5), std::string("data\0", 5));
  EXPECT_EQ(content(layer_ / "after"), "x");
}

TEST_F(Unpack, KeepsHolesOfSparseFiles) {
  // GNU's format 1.0: the map stands in front of the data (GNU tar manual, "Storing Sparse Files").
  std::string map = "2\n1048576\n4\n4194304\n0\n";
  map.resize(512, '\0');
  TarItem item = {.type = '0', .name = "GNUSparseFile.0/s", .data = map + "data"};
  item.pax = {{"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.name", "s"},
              {"GNU.sparse.realsize", "4194304"}};
  unpack_here(Tar().add(item).end());
  const struct stat info = status_of(layer_ / "s");
  EXPECT_EQ(info.st_size, 4194304);
  EXPECT_LT(info.st_blocks * 512, 100'000);
  EXPECT_EQ(content(layer_ / "s").substr(1048576, 4), "data");
}

TEST_F(Unpack, HeadersHaveALimit) {
  // A long name of 64 MiB, and a PAX header of as much.
  for (const char type : {'L', 'x'}) {
    const std::string huge(64U << 20U, 'n');
    const TempDir into;
    Tar tar;
    tar.raw(Tar::header({.type = type, .name = "long", .link = {}, .data = huge})).padded(huge);
    EXPECT_EQ(error_of([&] { unpack(into.path(), tar.file("a").end()); }).first,
              ErrorKind::kCorrupt)
        << type;
  }
  // A sparse map of five million regions.
  std::string map = "5000000\n";
  while (map.size() < 20'000'000) map += "0\n0\n";
  map.resize((map.size() + 511) / 512 * 512, '\0');
  TarItem item = {.type = '0', .name = "s", .data = map};
  item.pax = {{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "9"}};
  EXPECT_EQ(error_of([&] { unpack_here(Tar().add(item).end()); }).first, ErrorKind::kCorrupt);
}

TEST_F(Unpack, EntriesBytesAndRatioHaveLimits) {
  const std::string tar = Tar().dir("./").file("a").file("b", std::string(5000, 'b')).end();
  EXPECT_EQ(error_of([&] { unpack_blob(layer_, tar, tar, 4096, {.entries = 2}); }).first,
            ErrorKind::kInvalid);
  EXPECT_EQ(error_of([&] { unpack_blob(layer_, tar, tar, 4096, {.layer_bytes = 4000}); }).first,
            ErrorKind::kInvalid);
  // 1.2 GiB of zeros from a megabyte: frames that say the same again and again.
  const std::string member = zstd(std::string(16U << 20U, '\0'));
  std::string bomb;
  for (int i = 0; i < 76; ++i) bomb += member;
  const auto [kind, text] = error_of([&] {
    storage::LayerUnpacker unpacker(layer_, describe(bomb),
                                    oci::DiffId::from_hex(std::string(64, '0')));
    unpacker.write(bomb);
    unpacker.finish();
  });
  EXPECT_EQ(kind, ErrorKind::kInvalid);
  EXPECT_THAT(text, HasSubstr("200 times"));
}

TEST_F(Unpack, CanBeAbandonedAtAnyMoment) {
  Tar tar;
  for (int i = 0; i < 200; ++i) tar.file("f" + std::to_string(i), std::string(20'000, 'x'));
  const std::string bytes = tar.end();
  for (std::size_t size = 0; size < bytes.size(); size += bytes.size() / 7) {
    const TempDir into;
    storage::LayerUnpacker unpacker(into.path(), describe(bytes),
                                    oci::DiffId::from_hex(base::sha256_hex(bytes)));
    unpacker.write(std::string_view(bytes).substr(0, size));
  }
}

TEST_F(Unpack, ErrorsNameTheEntryFitForATerminal) {
  EXPECT_THAT(refusal(Tar().hard_link("dir/\x1b]0;title", "dir/\x1b]0;title")).second,
              testing::AllOf(HasSubstr("dir/\\x1b"), testing::Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace storage_test
