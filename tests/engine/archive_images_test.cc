// ArchiveFiles and ArchiveImages: what is found in an archive, and what is refused.
#include "engine/image/archive_images.h"

#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "storage/unpack/decompress.h"
#include "tests/storage/unpack_support.h"

namespace engine {
namespace {

using storage_test::Tar;
using testing::HasSubstr;

base::UniqueFd memory_file(const std::string& bytes) {
  base::UniqueFd fd(base::check(memfd_create("archive", MFD_CLOEXEC), "memfd_create"));
  base::write_all(fd.get(), bytes);
  base::check(lseek(fd.get(), 0, SEEK_SET), "lseek");
  return fd;
}

ArchiveFiles open_tar(Tar& tar) { return ArchiveFiles::of_tar(memory_file(tar.end())); }

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

std::string config_with(const std::string& diff_hex) {
  return R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:)" +
         diff_hex + R"("]}})";
}

const std::string kLayer = "layer";

TEST(ArchiveFiles, ReadsMembersWhereTheyLie) {
  Tar tar;
  tar.file("./a//b", "content").file(std::string(150, 'n'), std::string(70'000, 'x')).file("c", "");
  const ArchiveFiles files = open_tar(tar);
  EXPECT_EQ(files.load("a/b").read(100), "content");
  EXPECT_EQ(files.load("./a/b").read(100), "content");
  EXPECT_EQ(files.load("a/b").head(3), "con");
  std::size_t size = 0;
  files.load(std::string(150, 'n')).for_each_block([&](std::string_view bytes) {
    EXPECT_EQ(bytes.find_first_not_of('x'), std::string_view::npos);
    size += bytes.size();
  });
  EXPECT_EQ(size, 70'000U);
  EXPECT_EQ(files.load("c").size(), 0U);
  EXPECT_FALSE(files.find("d").has_value());
}

TEST(ArchiveFiles, RefusesWhatIsNoRegularFileOfItsOwn) {
  Tar tar;
  tar.file("real", "content")
      .add({.type = '2', .name = "a/link", .link = "../real"})
      .add({.type = '2', .name = "out", .link = "../etc/passwd"})
      .add({.type = '2', .name = "loop", .link = "loop"})
      .add({.type = '1', .name = "hard", .link = "real"})
      .add({.type = '5', .name = "dir"})
      .file("twice", "1")
      .file("./twice", "2");
  const ArchiveFiles files = open_tar(tar);
  EXPECT_THAT(error_of([&] { files.load("a/link"); }), HasSubstr("not a regular file"));
  EXPECT_EQ(files.load("a/link", ArchiveFiles::Links::kFollowed).read(10), "content");
  for (const auto& [name, words] :
       std::initializer_list<std::pair<const char*, const char*>>{{"out", "leads out"},
                                                                  {"loop", "too many"},
                                                                  {"hard", "not a regular file"},
                                                                  {"dir", "not a regular file"},
                                                                  {"twice", "more than once"},
                                                                  {"../etc/passwd", "leads out"},
                                                                  {"/etc/passwd", "leads out"},
                                                                  {"a/../real", "leads out"},
                                                                  {"", "leads out"}}) {
    EXPECT_THAT(error_of([&] { files.load(name, ArchiveFiles::Links::kFollowed); }),
                HasSubstr(words))
        << name;
  }
}

TEST(ArchiveFiles, RefusesAnArchiveThatIsCut) {
  Tar tar;
  const std::string bytes = tar.file("a", std::string(2000, 'x')).end();
  for (const std::size_t size : {1500UL, 700UL, 100UL}) {
    EXPECT_THROW(ArchiveFiles::of_tar(memory_file(bytes.substr(0, size))), base::Error) << size;
  }
}

TEST(ArchiveImages, ReadsDockersManifest) {
  const std::string diff = base::sha256_hex(kLayer);
  Tar tar;
  tar.file("c.json", config_with(diff))
      .file("l/layer.tar", kLayer)
      .file("manifest.json",
            R"([{"Config":"c.json","RepoTags":["a:1","b/c:2"],"Layers":["l/layer.tar"]}])");
  const auto images = list_images(open_tar(tar), {.platform = oci::Platform::parse("amd64")});
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].manifest.layers[0].digest.hex(), diff);
  EXPECT_EQ(images[0].manifest.layers[0].size, kLayer.size());
  EXPECT_EQ(images[0].manifest.config.digest.hex(), base::sha256_hex(config_with(diff)));
  EXPECT_EQ(images[0].manifest_digest.hex(), base::sha256_hex(images[0].manifest_bytes));
  ASSERT_EQ(images[0].names.size(), 2U);
  EXPECT_EQ(images[0].names[1].str(), "docker.io/b/c:2");
  const auto parsed = oci::parse_manifest(images[0].manifest_bytes, oci::kOciManifest);
  EXPECT_EQ(std::get<oci::Manifest>(parsed).layers.size(), 1U);
}

TEST(ArchiveImages, ReferenceChoosesOne) {
  const std::string diff = base::sha256_hex(kLayer);
  Tar tar;
  tar.file("c.json", config_with(diff)).file("l", kLayer);
  tar.file("manifest.json", R"([{"Config":"c.json","RepoTags":["a:1"],"Layers":["l"]},)"
                            R"({"Config":"c.json","RepoTags":null,"Layers":["l"]}])");
  const ArchiveFiles files = open_tar(tar);
  ArchiveChoice choice{.platform = oci::Platform::parse("amd64")};
  choice.reference = "a:1";
  EXPECT_EQ(list_docker_images(files, choice).at(0).names.size(), 1U);
  choice.reference = "@1";
  EXPECT_EQ(list_docker_images(files, choice).at(0).names.size(), 0U);
  for (const char* wrong : {"", "@2", "b:1"}) {
    choice.reference = wrong;
    EXPECT_THROW(list_docker_images(files, choice), base::Error) << wrong;
  }
  choice.reference.reset();
  EXPECT_EQ(list_docker_images(files, choice).size(), 2U);
}

TEST(Layout, ChoosesByNameAndPlatform) {
  const auto entry = [](char digit, const std::string& name, const std::string& platform) {
    oci::Descriptor descriptor{.media_type = oci::kOciManifest,
                               .digest = oci::Digest::from_hex(std::string(64, digit)),
                               .size = 1};
    if (!name.empty()) descriptor.annotations[oci::kRefNameAnnotation] = name;
    if (!platform.empty()) descriptor.platform = oci::Platform::parse(platform);
    return descriptor;
  };
  const oci::Index index{.media_type = {},
                         .manifests = {entry('1', "a", "linux/arm64"),
                                       entry('2', "a", "linux/amd64"), entry('3', "x/y:z", "")},
                         .annotations = {}};
  oci::LayoutChoice choice{.platform = oci::Platform::parse("linux/amd64")};
  const auto digits = [&] {
    std::string text;
    for (const auto& chosen : choose_layout_entries(index, choice)) text += chosen.digest.hex()[0];
    return text;
  };
  EXPECT_EQ(digits(), "23");
  choice.reference = "a";
  EXPECT_EQ(digits(), "2");
  choice.reference = "docker.io/x/y:z";
  EXPECT_EQ(digits(), "3");
  choice.reference = "";
  EXPECT_THAT(error_of(digits), HasSubstr("several images: say which (a, x/y:z)"));
  choice.reference = "b";
  EXPECT_THROW(digits(), base::Error);
  EXPECT_FALSE(oci::find_layout_name(index.manifests[0]).has_value());
  EXPECT_EQ(oci::find_layout_name(index.manifests[2])->str(), "docker.io/x/y:z");
}

TEST(Decompress, PassesPlainBytesAndRefusesDamage) {
  const auto run = [](std::string_view input, std::size_t piece) {
    std::string output;
    storage::decompress(
        [&]() -> std::string_view {
          const std::string_view block = input.substr(0, piece);
          input.remove_prefix(block.size());
          return block;
        },
        [&](std::string_view bytes) { output += bytes; });
    return output;
  };
  EXPECT_EQ(run("", 1), "");
  EXPECT_EQ(run("abc", 1), "abc");
  const std::string text(100'000, 'q');
  const std::string compressed = storage_test::gzip(text);
  EXPECT_EQ(run(compressed, 1), text);
  EXPECT_EQ(run(compressed, 4096), text);
  EXPECT_EQ(run(storage_test::zstd(text), 3), text);
  EXPECT_THROW(run(compressed.substr(0, compressed.size() - 9), 100), base::Error);
  using namespace std::literals;
  EXPECT_THROW(run("\xfd\x37zXZ\0not really"sv, 100), base::Error);
  EXPECT_THROW(run("BZh91AY&SY not really", 100), base::Error);
  EXPECT_TRUE(storage::is_compressed(compressed));
  EXPECT_FALSE(storage::is_compressed("plain"));
}

}  // namespace
}  // namespace engine
