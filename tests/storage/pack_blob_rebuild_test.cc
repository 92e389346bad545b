#include <cstdio>
#include <zlib.h>

#include <gtest/gtest.h>

#include "storage/pack/blob_rebuild.h"
#include "storage/pack/compressor.h"
#include "tests/storage/deflate_support.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;
using Method = storage::CompressorChoice::Method;

std::string compress(const storage::CompressorChoice& choice, const std::string& bytes) {
  std::string out;
  const auto compressor =
      storage::make_compressor(choice, [&](std::string_view piece) { out += piece; });
  // In other pieces than the rebuild's.
  for (std::size_t at = 0; at < bytes.size(); at += 100'000) {
    compressor->write(std::string_view(bytes).substr(at, 100'000));
  }
  compressor->finish();
  return out;
}

std::string zlib_gzip(const std::string& bytes, int level, int memory, const std::string& name) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, 31, memory, Z_DEFAULT_STRATEGY), Z_OK);
  gz_header header = {};
  header.name = reinterpret_cast<Bytef*>(const_cast<char*>(name.c_str()));
  header.time = 1234567;
  if (!name.empty()) deflateSetHeader(&stream, &header);
  std::string out(bytes.size() + 4096, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class BlobRebuildTest : public testing::Test {
 protected:
  void SetUp() override {
    tar_ = Tar().file("text", prose(900'000)).file("other", prose(30'000)).dir("d").end();
    id_ = oci::DiffId::from_hex(base::sha256_hex(tar_));
    const fs::path staged = store_.make_staging("layer");
    const fs::path beside = store_.make_staging("beside");
    storage::LayerUnpacker unpacker(staged, describe(tar_), *id_, {}, {}, beside);
    unpacker.write(tar_);
    const auto result = unpacker.finish();
    store_.publish_layer(id_->hex(), *id_, staged, result.disk_bytes, {}, beside);
  }

  storage::BlobRow keep(const std::string& bytes) {
    const fs::path file = store_.make_staging("blob") / "blob";
    base::write_file(file, bytes);
    const auto digest = oci::Digest::from_hex(base::sha256_hex(bytes));
    store_.keep_blob({.digest = digest, .layer = *id_, .size = bytes.size()}, file);
    return *store_.find_blob(digest);
  }

  std::string read(const storage::BlobRow& blob) {
    std::string bytes;
    storage::write_blob(store_, blob, [&](std::string_view piece) { bytes += piece; });
    return bytes;
  }

  // Finds the recipe, evicts the blob and makes it again.
  void expect_rebuilt(const std::string& bytes, std::string_view way) {
    const storage::BlobRow blob = keep(bytes);
    const auto recipe = storage::find_recipe(store_, blob);
    ASSERT_TRUE(recipe) << way;
    EXPECT_TRUE(recipe->starts_with(way)) << *recipe;
    store_.set_blob_recipe(blob.digest, *recipe);
    EXPECT_GT(store_.drop_blob(blob.digest), 0U);
    EXPECT_TRUE(read(*store_.find_blob(blob.digest)) == bytes) << way;
  }

  TempDir root_;
  storage::Store store_{root_ / "store"};
  std::string tar_;
  std::optional<oci::DiffId> id_;
};

TEST_F(BlobRebuildTest, MakesWhatZlibMade) {
  for (const int level : {1, 4, 6, 9}) {
    expect_rebuilt(zlib_gzip(tar_, level, 8, {}), "zlib " + std::to_string(level) + " 8 ");
  }
  expect_rebuilt(zlib_gzip(tar_, 6, 9, "layer.tar"), "zlib 6 9 1f8b0808");
  expect_rebuilt(zlib_gzip(tar_, 6, 8, {}) + std::string(300, '\0'), "zlib 6 8 ");
}

TEST_F(BlobRebuildTest, MakesWhatTheProgramMade) {
  if (!storage::has_gzip_program()) GTEST_SKIP() << "gzip is not installed";
  base::write_file(root_ / "tar", tar_);
  for (const std::string level : {"1", "6", "9"}) {
    const std::string command = "gzip -k -f -" + level + " " + (root_ / "tar").string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    // With name and time; at most levels zlib with more memory gives the same, and is found first.
    expect_rebuilt(content(root_ / "tar.gz"), "");
    expect_rebuilt(zlib_gzip({}, 6, 8, {}).substr(0, 10) +
                       compress({.method = Method::kGzipProgram, .level = std::stoi(level)}, tar_),
                   "");
  }
}

TEST_F(BlobRebuildTest, MakesWhatZstdIsalAndNobodyMade) {
  expect_rebuilt(compress({.method = Method::kZstd, .level = 7}, tar_), "zstd 7 0 ");
  expect_rebuilt(compress({.method = Method::kZstd,
                           .level = 3,
                           .parameter = storage::kZstdChecksum | storage::kZstdContentSize,
                           .input_size = tar_.size()},
                          tar_),
                 "zstd 3 3 ");
  const std::string head("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  expect_rebuilt(head + compress({.method = Method::kIsal, .level = 2}, tar_) + "12345678",
                 "isal 2 ");
  expect_rebuilt(tar_, "plain 0 0 - -");
}

TEST_F(BlobRebuildTest, KnowsWhatItCannotMake) {
  const std::string members =
      "\xFD"
      "7zXZ" +
      prose(50'000);  // no gzip, no zstd
  const storage::BlobRow blob = keep(members);
  EXPECT_FALSE(storage::find_recipe(store_, blob));
  EXPECT_EQ(read(blob), members);
  store_.drop_blob(blob.digest);
  EXPECT_EQ(error_of([&] { read(*store_.find_blob(blob.digest)); }).first, ErrorKind::kNotFound);
  EXPECT_FALSE(storage::find_recipe(store_, *store_.find_blob(blob.digest)));
}

TEST_F(BlobRebuildTest, SaysWhenBlobOrLayerAreDamaged) {
  const std::string bytes = zlib_gzip(tar_, 6, 8, {});
  storage::BlobRow blob = keep(bytes);
  const auto recipe = storage::find_recipe(store_, blob);
  ASSERT_TRUE(recipe);
  std::string damaged = bytes;
  damaged[100'000] = static_cast<char>(damaged[100'000] ^ 1);
  base::write_file(store_.blob_path(blob.digest), damaged);
  EXPECT_EQ(error_of([&] { read(blob); }).first, ErrorKind::kCorrupt);
  EXPECT_EQ(error_of([&] { storage::find_recipe(store_, blob); }).first, ErrorKind::kCorrupt);
  fs::remove(store_.blob_path(blob.digest));  // the row still says that it is kept
  blob.recipe = *recipe;
  EXPECT_EQ(read(blob), bytes);
  base::write_file(store_.layer_dir(id_->hex()) / "text", prose(800'000));
  EXPECT_EQ(error_of([&] { read(blob); }).first, ErrorKind::kCorrupt);
}

TEST(CompressorChoiceTest, IsWrittenAndRead) {
  for (const Method method :
       {Method::kPlain, Method::kZlib, Method::kGzipProgram, Method::kIsal, Method::kZstd}) {
    const storage::CompressorChoice choice = {.method = method, .level = 9, .parameter = 8};
    EXPECT_EQ(storage::parse_choice(storage::render_choice(choice)), choice);
  }
  for (const char* text :
       {"", "zlib", "zlib 6", "zlib 6 8 ", "zlib x 8", "lzma 6 8", "zlib 6 8x"}) {
    EXPECT_EQ(error_of([&] { storage::parse_choice(text); }).first, ErrorKind::kInvalid) << text;
  }
}

}  // namespace
}  // namespace storage_test
