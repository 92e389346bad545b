#include <fcntl.h>
#include <random>

#include <gtest/gtest.h>

#include "storage/pack/layer_tar.h"
#include "storage/pack/record_reader.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// A layer that is unpacked and published as a pull does it.
class LayerTarTest : public testing::Test {
 protected:
  oci::DiffId add(const std::string& tar) {
    const auto id = oci::DiffId::from_hex(base::sha256_hex(tar));
    const fs::path staged = store_.make_staging("layer");
    const fs::path beside = store_.make_staging("beside");
    storage::LayerUnpacker unpacker(staged, describe(tar), id, {}, {}, beside);
    unpacker.write(tar);
    const auto result = unpacker.finish();
    store_.publish_layer(id.hex(), id, staged, result.disk_bytes, {}, beside);
    return id;
  }

  std::string rebuild(const oci::DiffId& id) {
    std::string tar;
    storage::write_layer_tar(store_, id, [&](std::string_view bytes) { tar += bytes; });
    return tar;
  }

  fs::path record(const oci::DiffId& id) const {
    return store_.layer_extras(id.hex()) / storage::kTarRecordName;
  }

  TempDir root_;
  storage::Store store_{root_ / "store"};
};

TEST_F(LayerTarTest, GivesTheIdenticalTarAndHoldsNoContent) {
  const std::string tar = Tar()
                              .dir("usr")
                              .file("usr/large", noise(3'000'000, 1))
                              .file("usr/small", "small")
                              .file("usr/odd", noise(70'001, 2))
                              .symlink("link", "usr/large")
                              .hard_link("usr/again", "usr/odd")
                              .file(".wh.gone")
                              .end() +
                          noise(10'000, 3);
  const oci::DiffId id = add(tar);
  EXPECT_TRUE(storage::has_layer_tar(store_, id));
  EXPECT_EQ(storage::layer_tar_size(store_, id), tar.size());
  EXPECT_EQ(rebuild(id), tar);
  EXPECT_LT(fs::file_size(record(id)), 12'000U);  // the noise at the end, and headers
}

TEST_F(LayerTarTest, ContentOfWhatALaterEntryReplacedIsNotLost) {
  const std::string tar = Tar()
                              .file("same", noise(5000, 1))
                              .dir("d")
                              .file("d/inner", noise(6000, 2))
                              .file("same", noise(7000, 3))
                              .file("d/inner", noise(600, 4))
                              .symlink("d", "elsewhere")
                              .file("same", noise(900, 5))
                              .dir("d")
                              .file("d/inner", noise(800, 6))
                              .end();
  const oci::DiffId id = add(tar);
  EXPECT_EQ(rebuild(id), tar);
  EXPECT_EQ(content(store_.layer_dir(id.hex()) / "same"), noise(900, 5));
}

TEST_F(LayerTarTest, SaysWhenAFileHasChanged) {
  const oci::DiffId id = add(Tar().file("f", noise(5000, 1)).end());
  const fs::path file = store_.layer_dir(id.hex()) / "f";
  base::write_file(file, noise(5000, 2));
  auto [kind, text] = error_of([&] { rebuild(id); });
  EXPECT_EQ(kind, ErrorKind::kCorrupt);
  EXPECT_NE(text.find("its files have changed"), std::string::npos) << text;
  fs::resize_file(file, 100);
  EXPECT_EQ(error_of([&] { rebuild(id); }).first, ErrorKind::kCorrupt);
  fs::remove(file);
  EXPECT_EQ(error_of([&] { rebuild(id); }).first, ErrorKind::kCorrupt);
  fs::create_symlink("/etc/passwd", file);
  EXPECT_NE(error_of([&] { rebuild(id); }).second, "no error");
}

TEST_F(LayerTarTest, SaysWhenTheRecordIsMissingOrDamaged) {
  const oci::DiffId id = add(Tar().file("f", noise(5000, 1)).end());
  const std::string bytes = content(record(id));
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{13}, std::size_t{30}, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    base::write_file(record(id), damaged);
    EXPECT_EQ(error_of([&] { rebuild(id); }).first, ErrorKind::kCorrupt) << at;
  }
  base::write_file(record(id), bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(error_of([&] { rebuild(id); }).first, ErrorKind::kCorrupt);
  fs::remove(record(id));
  EXPECT_FALSE(storage::has_layer_tar(store_, id));
  EXPECT_EQ(error_of([&] { rebuild(id); }).first, ErrorKind::kUnsupported);
  EXPECT_EQ(error_of([&] { rebuild(oci::DiffId::from_hex(std::string(64, '0'))); }).first,
            ErrorKind::kNotFound);
}

}  // namespace
}  // namespace storage_test
